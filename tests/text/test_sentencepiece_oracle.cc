#include "test_sentencepiece_oracle.h"

#include <sentencepiece_processor.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

struct oracle {
    sentencepiece::SentencePieceProcessor processor;
    std::vector<int> ids;
    std::string text;
};

struct oracle *oracle_load(const char *path, char *error, size_t error_size)
{
    auto made = std::make_unique<oracle>();
    const auto status = made->processor.Load(path);
    if (!status.ok()) {
        std::snprintf(error, error_size, "%s", status.ToString().c_str());
        return nullptr;
    }
    return made.release();
}

void oracle_free(struct oracle *oracle)
{
    delete oracle;
}

int oracle_size(const struct oracle *oracle)
{
    return oracle->processor.GetPieceSize();
}

int oracle_unk(const struct oracle *oracle)
{
    return oracle->processor.unk_id();
}

int oracle_bos(const struct oracle *oracle)
{
    return oracle->processor.bos_id();
}

int oracle_eos(const struct oracle *oracle)
{
    return oracle->processor.eos_id();
}

const char *oracle_piece(const struct oracle *oracle, int id, size_t *size)
{
    const std::string &piece = oracle->processor.IdToPiece(id);
    *size = piece.size();
    return piece.data();
}

bool oracle_is_control(const struct oracle *oracle, int id)
{
    return oracle->processor.IsControl(id);
}

bool oracle_is_byte(const struct oracle *oracle, int id)
{
    return oracle->processor.IsByte(id);
}

bool oracle_encode(struct oracle *oracle, const char *text, size_t size, const int **ids, size_t *count)
{
    const auto status = oracle->processor.Encode(absl::string_view(text, size), &oracle->ids);
    *ids = oracle->ids.data();
    *count = oracle->ids.size();
    return status.ok();
}

bool oracle_decode(struct oracle *oracle, const int *ids, size_t count, const char **text, size_t *size)
{
    const auto status = oracle->processor.Decode(std::vector<int>(ids, ids + count), &oracle->text);
    *text = oracle->text.data();
    *size = oracle->text.size();
    return status.ok();
}
