// advice.h — the commands that messages and the report page print. Each runs when pasted into a
// shell: paths are quoted where necessary, and are never taken for options. A word in capitals
// stands for a file that lathe cannot know.
#ifndef LATHE_BUNDLE_ADVICE_H
#define LATHE_BUNDLE_ADVICE_H

#include "bundle/chain.h"
#include "contract/stated.h"

// A word of a shell command that stands for exactly `text`, a path or an option's argument. In the
// arena, as all below.
const char *shell_word(Arena *arena, const char *text);

// The commands below are for the working directory. `chain` is that of the bundle `dir`, as far as
// it was read (zeroed: not at all).
//
// "lathe verify OUT.lathe --model MODEL.gguf" proves the bundle; the model is named where verify
// would not find it.
const char *verify_command(Arena *arena, const char *dir, const Chain *chain);
// "lathe convert MODEL.gguf -o OUT.lathe --force" makes the bundle again from its source, or from
// `source` when that is not NULL, with the options of the first conversion as far as chain.json
// states them: those of use, settings and forms. (Sizes of packages and the publisher's files are
// not in it.)
const char *convert_command(Arena *arena, const char *dir, const Chain *chain, const char *source);
// "lathe convert m.gguf -o m.lathe" for a model file of which no bundle is known.
const char *first_convert_command(Arena *arena, const char *model_path);

// " --config config.json": the options that name the files present in `files`.
const char *publisher_options(Arena *arena, const ConfigFiles *files);
// "lathe verify m.gguf --config config.json" asks whether the weights of a model file fit what it
// states, and which of its fields contradict the files present in `files`.
const char *vote_command(Arena *arena, const char *model_path, const ConfigFiles *files,
                         const GgufSettings *settings);

// What to put for the placeholders of a command in a table: BUNDLE and SOURCE stand for paths,
// quoted for a shell; CONVERT stands for the command that makes the bundle again.
typedef struct {
    const char *bundle, *source, *convert;
} CommandWords;
CommandWords command_words(Arena *arena, const char *dir, const Chain *chain, const char *source);
// The same, for commands that are read later and run in the folder that holds the bundle, whatever
// the working directory was. Paths are relative, so that a page shows as little of the machine as
// possible.
CommandWords command_words_beside(Arena *arena, const char *dir, const Chain *chain,
                                  const char *source);
const char *command_fill(Arena *arena, const char *command, const CommandWords *words);

#endif
