// advice.h — commands that messages and the page print. They run as pasted into a shell: paths are
// quoted where they must be, and never taken for options. A word in capitals stands for a file that
// lathe cannot know.
#ifndef LATHE_BUNDLE_ADVICE_H
#define LATHE_BUNDLE_ADVICE_H

#include "bundle/chain.h"
#include "contract/stated.h"

// A word of a shell command that stands for exactly `text`, a path or an option's argument. In the
// arena, as all below.
const char *shell_word(Arena *arena, const char *text);

// For the folder that lathe was called in. `chain` of the bundle `dir` is as far as it was read
// (zeroed: not at all).
//
// "lathe verify OUT.lathe --model MODEL.gguf" proves the bundle; the model is named where verify
// would not find it.
const char *verify_command(Arena *arena, const char *dir, const Chain *chain);
// "lathe convert MODEL.gguf -o OUT.lathe --force" makes it again of the same source, or of `source`
// when that is not NULL, with the options that it was made with, as far as chain.json states them: those of
// use, settings and forms. (Sizes of packages and the publisher's files are not in it.)
const char *convert_command(Arena *arena, const char *dir, const Chain *chain, const char *source);
// "lathe convert m.gguf -o m.lathe" for a model file of which no bundle is known.
const char *first_convert_command(Arena *arena, const char *model_path);

// " --config config.json": the options that name those of `files` that are given.
const char *publisher_options(Arena *arena, const ConfigFiles *files);
// "lathe verify m.gguf --config config.json" asks the weights of a model file whether they fit what it
// says, and which of its fields contradict `files`, those that are given.
const char *vote_command(Arena *arena, const char *model_path, const ConfigFiles *files,
                         const GgufSettings *settings);

// Words that stand for parts of a command in a table: BUNDLE and SOURCE for paths, as words of a
// shell; CONVERT for the command that makes the bundle again.
typedef struct {
    const char *bundle, *source, *convert;
} CommandWords;
CommandWords command_words(Arena *arena, const char *dir, const Chain *chain, const char *source);
// The same for the folder that holds the bundle, whatever folder lathe was called in: for what is
// read later. Paths are relative, so that a page shows no more of the machine than it must.
CommandWords command_words_beside(Arena *arena, const char *dir, const Chain *chain,
                                  const char *source);
const char *command_fill(Arena *arena, const char *command, const CommandWords *words);

#endif
