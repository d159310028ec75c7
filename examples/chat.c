// chat.c — a conversation with a model through the installed library.
//
//     cc chat.c $(pkg-config --cflags --libs lathe) -o chat
//     ./chat MODEL.gguf|BUNDLE.lathe
//
// A line of input is a question; the answer is printed as it comes. End of input ends the program.
#include <lathe.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool print_text(void *context, const char *text, size_t n_bytes) {
    FILE *out = context;
    fwrite(text, 1, n_bytes, out);
    fflush(out);
    return true; // false would end the answer
}

static int64_t today(void) {
    return (int64_t)time(NULL);
}

static int fail(const LatheError *err) {
    fprintf(stderr, "chat: %s\n", err->text);
    return 1;
}

int main(int argc, char **argv) {
    LatheError err;
    if (argc != 2) {
        fprintf(stderr, "usage: chat MODEL.gguf|BUNDLE.lathe\n");
        return 2;
    }
    LatheModel *model = lathe_model_open(argv[1], NULL, &err);
    if (!model) return fail(&err);
    LatheConversation *chat = lathe_conversation_open(model, NULL, NULL, today, &err);
    if (!chat) {
        lathe_model_close(model);
        return fail(&err);
    }
    char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        LatheStats stats;
        line[strcspn(line, "\n")] = 0;
        if (!*line) continue;
        if (lathe_conversation_say(chat, line, print_text, stdout, &stats, &err))
            printf("\n[%zu tokens read, %zu written]\n", stats.n_prompt, stats.n_answer);
        else
            fail(&err); // the conversation goes on without that turn
    }
    lathe_conversation_close(chat);
    lathe_model_close(model);
    return 0;
}
