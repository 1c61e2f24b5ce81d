/* Modes of the instructions that a warp or block executes together. Internal. */
#ifndef SPIRITLM_EMULATOR_WARP_OPS_H
#define SPIRITLM_EMULATOR_WARP_OPS_H

#include "emulator/machine/decode.h"

enum barrier_mode { BARRIER_SYNC, BARRIER_ARRIVE, BARRIER_POPULATION, BARRIER_AND, BARRIER_OR };
enum shuffle_mode { SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR, SHUFFLE_INDEX };
enum vote_mode { VOTE_ALL, VOTE_ANY, VOTE_UNIFORM, VOTE_BALLOT };
enum match_mode { MATCH_ANY, MATCH_ALL };
enum redux_mode { REDUX_ADD, REDUX_MIN, REDUX_MAX, REDUX_MIN_SIGNED, REDUX_MAX_SIGNED, REDUX_AND, REDUX_OR, REDUX_XOR };

bool decode_warp_barrier(struct decoder *decoder); /* bar.warp.sync */

#endif
