// write_example PACKAGE — writes the worked example; for tests/oracle/test_packages.py.
#include <stdio.h>

#include "mlpackage/example.h"

int main(int argc, char **argv) {
    Err err = {0};
    if (argc == 2 && example_write(argv[1], &err)) return 0;
    fprintf(stderr, "write_example: %s\n", argc == 2 ? err.text : "usage: write_example PACKAGE");
    return 1;
}
