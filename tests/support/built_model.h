/* Built text models (support/sentencepiece_builder.h), loaded as everyone loads them. */
#ifndef SPIRITLM_TESTS_BUILT_MODEL_H
#define SPIRITLM_TESTS_BUILT_MODEL_H

#include "support/sentencepiece_builder.h"
#include "text/text_model.h"

/* For text_model_free. Fails the test on an error. */
struct text_model *load_built_model(const struct bytes *bytes);

#endif
