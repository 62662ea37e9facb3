/* replay.c: runs a fuzz target once over each named file, with any compiler: the fuzz corpus as a plain test, and the
 * way to look at one finding in a debugger. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 1;
        }
        size_t size = 0, capacity = 1 << 20;
        unsigned char *data = malloc(capacity);
        while (data != NULL && (size += fread(data + size, 1, capacity - size, file)) == capacity) {
            capacity *= 2;
            data = realloc(data, capacity);
        }
        fclose(file);
        unsigned char *exact = data == NULL ? NULL : realloc(data, size == 0 ? 1 : size); /* reads beyond are seen */
        if (exact == NULL) {
            return 1;
        }
        (void)LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    printf("%d files\n", argc - 1);
    return 0;
}
