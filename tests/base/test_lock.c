// One holder of a directory's lock at a time, in this process and in others.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/lock.h"
#include "mlpackage/scratch.h"

static Scratch scratch;

static void test_a_second_holder_is_refused_until_the_first_is_done(void **state) {
    (void)state;
    DirLock first = {0}, second = {0};
    Err err = {0};
    long process = 0;
    assert_false(dir_is_locked(scratch.path, &process));
    assert_true(dir_lock(&first, scratch.path, &err) && first.is_held && !first.is_weak);
    assert_false(dir_lock(&second, scratch.path, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
#ifdef __linux__
    char who[64];
    snprintf(who, sizeof who, "is in use by process %ld", (long)getpid());
    assert_non_null(strstr(err.text, who));
#else
    assert_non_null(strstr(err.text, "is in use by another process"));
#endif
    assert_false(second.is_held);
    dir_unlock(&second); // nothing to release, and the first keeps it
    assert_true(dir_is_locked(scratch.path, &process));
    dir_unlock(&first);
    assert_false(dir_is_locked(scratch.path, &process));
    assert_true(dir_lock(&second, scratch.path, &err));
    dir_unlock(&second);
}

static void test_the_lock_of_a_killed_process_is_free(void **state) {
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(10); // where the test fails first, nobody ends this process
        DirLock lock;
        bool ok = dir_lock(&lock, scratch.path, NULL);
        if (write(ready[1], &ok, 1) == 1) pause();
        _exit(0);
    }
    bool has_locked = false;
    long process = 0;
    assert_int_equal(read(ready[0], &has_locked, 1), 1);
    assert_true(has_locked && dir_is_locked(scratch.path, &process));
#ifdef __linux__
    assert_int_equal(process, child);
#endif
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_false(dir_is_locked(scratch.path, &process));
    close(ready[0]);
    close(ready[1]);
}

static DirLock held; // until the alarm

static void release(int signal) {
    (void)signal;
    close(held.fd);
}

// A holder for an instant, such as another process's dir_is_locked(), is waited for.
static void test_a_holder_for_an_instant_is_waited_for(void **state) {
    (void)state;
    DirLock lock = {0};
    Err err = {0};
    struct sigaction before, action = {.sa_handler = release};
    sigaction(SIGALRM, &action, &before);
    assert_true(dir_lock(&held, scratch.path, &err));
    // A fourth of the time that is waited, and by the clock: a busy machine delays both.
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 50000}, NULL);
    if (!dir_lock(&lock, scratch.path, &err)) fail_msg("%s", err.text);
    dir_unlock(&lock);
    sigaction(SIGALRM, &before, NULL);
}

static void test_what_is_not_there_cannot_be_locked(void **state) {
    (void)state;
    DirLock lock = {0};
    Err err = {0};
    char path[600];
    snprintf(path, sizeof path, "%s/nowhere", scratch.path);
    assert_false(dir_lock(&lock, path, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_non_null(strstr(err.text, "nowhere"));
    dir_unlock(&lock);
    long process = 1;
    assert_false(dir_is_locked(path, &process));
    assert_int_equal(process, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_second_holder_is_refused_until_the_first_is_done),
        cmocka_unit_test(test_the_lock_of_a_killed_process_is_free),
        cmocka_unit_test(test_a_holder_for_an_instant_is_waited_for),
        cmocka_unit_test(test_what_is_not_there_cannot_be_locked),
    };
    scratch = scratch_open("test-lock");
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    scratch_close(&scratch);
    return n_failed;
}
