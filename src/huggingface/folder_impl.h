// folder_impl.h — what the files that read a folder share.
//
//     folder.c             the files, the steps
//     checkpoint.c         a file of weights
//     folder_tensors.c     its tensors as those of a GGUF file
//     folder_vocabulary.c  tokenizer.json: tokens, merges, what is done before and after
//     folder_cuts.c        its normalizer and pre-tokenizer as a name of `tokenizer.ggml.pre`
#ifndef LATHE_HUGGINGFACE_FOLDER_IMPL_H
#define LATHE_HUGGINGFACE_FOLDER_IMPL_H

#include <jansson.h>

#include "contract/stated.h"
#include "gguf/keys.h"
#include "huggingface/checkpoint.h"
#include "tokenizer/tokenizer.h"

#define HF_USE_GGUF                                                                                \
    "lathe reads byte-level BPE, and BPE over characters with byte fallback, with the cuts that "  \
    "it "                                                                                          \
    "knows; a GGUF file of the model, where there is one, may be read"

// What is done with a text before BPE joins.
typedef struct {
    bool is_byte_level;
    bool adds_space; // SentencePiece's, before each stretch of text
    Str pre;         // of byte-level BPE: a name of tokenizer.ggml.pre, in the arena
} FolderCuts;

bool folder_read_cuts(FolderCuts *cuts, const json_t *tokenizer, Arena *arena, Err *err);

// tokenizer.json; views of `file`, which must live as long.
typedef struct {
    const json_t *file, *vocab;
    FolderCuts cuts;
    size_t count;   // ids are below it
    Str *texts;     // [count]; empty where no token has the id
    int32_t *types; // [count]
    float *scores;  // [count] of a SentencePiece vocabulary; NULL of others
    Str *merges;    // [n_merges] "left right"; of others
    size_t n_merges;
    uint32_t unknown;       // or NO_TOKEN
    uint32_t before, after; // what a text is put between; NO_TOKEN: nothing
    uint32_t *strips_right; // ids after which white space belongs to the token
    size_t n_strips;
} FolderVocabulary;

bool folder_read_vocabulary(FolderVocabulary *v, const json_t *file, Arena *arena, Err *err);
uint32_t folder_find_token(const FolderVocabulary *v, Str text); // or NO_TOKEN
// Its keys, with tokens that fill the table up to `n_tokens`.
void folder_put_vocabulary(GgufKeys *keys, const FolderVocabulary *v, size_t n_tokens,
                           Arena *arena);

// Gives `g` the tensors of the files.
bool folder_put_tensors(Gguf *g, Arena *arena, const Stated *stated, const Checkpoint *files,
                        size_t n_files, Err *err);

#endif
