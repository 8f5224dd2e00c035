/* Check known answers with every kernel: check_golden philox4x32_10.txt golden_normal.txt */
#include "edgevae.h"
#include "philox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures, checks;

static void expect(int same, const char *what, const char *where)
{
    checks++;
    if (!same && failures++ < 10)
        printf("FAIL %s %s\n", what, where);
}

static void check_philox(FILE *file)
{
    char line[256];
    while (fgets(line, sizeof line, file)) {
        uint32_t v[10];
        char *at = line;
        if (*line == '#')
            continue;
        for (int i = 0; i < 10; i++)
            v[i] = (uint32_t)strtoul(at, &at, 16);
        struct philox_words counter = {{v[0], v[1], v[2], v[3]}};
        struct philox_words got = philox(counter, v[4] | (uint64_t)v[5] << 32);
        expect(memcmp(got.w, v + 6, sizeof got.w) == 0, "philox", line);
    }
}

static void check_normal(FILE *file)
{
    char line[256];
    while (fgets(line, sizeof line, file)) {
        uint64_t seed, start, first_dim;
        uint32_t purpose, draw, want[4096];
        size_t rows, dims;
        float got[4096];
        if (*line == '#' || *line == '\n')
            continue;
        if (sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNu32 " %zu %zu",
                   &seed, &start, &first_dim, &purpose, &draw, &rows, &dims) != 7)
            exit(2);
        for (size_t i = 0; i < rows * dims; i++)
            if (fscanf(file, "%" SCNx32, want + i) != 1)
                exit(2);
        const char *name;
        for (size_t k = 0; (name = ev_kernel_name(k)); k++) {
            ev_select_kernel(name);
            ev_normal_f32(got, seed, start, first_dim, purpose, draw, rows, dims);
            expect(memcmp(got, want, rows * dims * 4) == 0, name, line);
        }
    }
}

int main(int argc, char **argv)
{
    FILE *philox_file = argc == 3 ? fopen(argv[1], "r") : NULL;
    FILE *normal_file = argc == 3 ? fopen(argv[2], "r") : NULL;
    if (!philox_file || !normal_file)
        return 2;
    check_philox(philox_file);
    check_normal(normal_file);
    printf("%d checks, %d failures\n", checks, failures);
    return failures != 0 || checks == 0;
}
