/* Replays a corpus through a fuzz target without libFuzzer: one call per file of the folders and files given. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
        FILE *f = fopen(path, "rb");
        if (!f)
                return -1;
        fseek(f, 0, SEEK_END);
        long size = ftell(f);
        rewind(f);
        uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
        int r = -1;
        if (size >= 0 && data && fread(data, 1, (size_t)size, f) == (size_t)size) {
                LLVMFuzzerTestOneInput(data, (size_t)size);
                r = 0;
        }
        free(data);
        fclose(f);
        return r;
}

static int replay_folder(const char *path)
{
        DIR *d = opendir(path);
        if (!d)
                return -1;
        int n = 0;
        for (struct dirent *entry; (entry = readdir(d));) {
                char name[4096];
                if (entry->d_name[0] == '.')
                        continue;
                snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
                if (replay_file(name) < 0) {
                        closedir(d);
                        return -1;
                }
                n++;
        }
        closedir(d);
        return n;
}

int main(int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                struct stat st;
                if (stat(argv[i], &st) < 0) {
                        perror(argv[i]);
                        return 1;
                }
                int n = S_ISDIR(st.st_mode) ? replay_folder(argv[i]) : replay_file(argv[i]) < 0 ? -1 : 1;
                if (n <= 0) {
                        fprintf(stderr, "%s: nothing could be replayed\n", argv[i]);
                        return 1;
                }
                printf("%s: %d inputs\n", argv[i], n);
        }
        return 0;
}
