#include "base/map.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct entry {
        uint64_t hash;
        char *key;
        void *value;
};

/* Entries are dense and in insertion order; slots[] (a power of two, at most half full) holds 1 + the entry's index, 0
 * when free, with linear probing. */
struct map {
        void (*free_value)(void *);
        uint64_t seed[2];
        struct entry *entries;
        size_t n, cap;
        uint32_t *slots;
        size_t n_slots;
};

#define MAP_FIRST_SLOTS 16

static inline uint64_t rotate(uint64_t v, unsigned bits)
{
        return v << bits | v >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"), words read little-endian. */
static uint64_t sip_hash(const uint64_t seed[2], const char *key)
{
        uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du, seed[0] ^ 0x6c7967656e657261u,
                         seed[1] ^ 0x7465646279746573u};
        size_t len = strlen(key);
        uint64_t word = 0;
        for (size_t i = 0; i < len; i++) {
                word |= (uint64_t)(uint8_t)key[i] << (8 * (i & 7));
                if ((i & 7) == 7) {
                        v[3] ^= word;
                        sip_round(v);
                        v[0] ^= word;
                        word = 0;
                }
        }
        word |= (uint64_t)len << 56;
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
        v[2] ^= 0xff;
        for (int i = 0; i < 3; i++)
                sip_round(v);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

int map_new(void (*free_value)(void *), struct map **ret, struct err *e)
{
        struct map *m = calloc(1, sizeof(*m));
        if (!m)
                return err_nomem(e);
        m->free_value = free_value;
        secret_random(m->seed, sizeof(m->seed));
        *ret = m;
        return 0;
}

static void destroy_value(const struct map *m, void *value)
{
        if (m->free_value && value)
                m->free_value(value);
}

struct map *map_free(struct map *m)
{
        if (!m)
                return NULL;
        for (size_t i = 0; i < m->n; i++) {
                free(m->entries[i].key);
                destroy_value(m, m->entries[i].value);
        }
        free(m->entries);
        free(m->slots);
        free(m);
        return NULL;
}

/* The slot where key is, or the free one where it belongs. There is always a free one. */
static size_t find_slot(const struct map *m, uint64_t hash, const char *key)
{
        size_t mask = m->n_slots - 1, i = hash & mask;
        for (; m->slots[i]; i = (i + 1) & mask) {
                const struct entry *entry = &m->entries[m->slots[i] - 1];
                if (entry->hash == hash && str_eq(entry->key, key))
                        break;
        }
        return i;
}

static struct entry *find(const struct map *m, const char *key)
{
        if (!m->n)
                return NULL;
        uint32_t slot = m->slots[find_slot(m, sip_hash(m->seed, key), key)];
        return slot ? &m->entries[slot - 1] : NULL;
}

static void reindex(struct map *m)
{
        size_t mask = m->n_slots - 1;
        memset(m->slots, 0, m->n_slots * sizeof(*m->slots));
        for (size_t k = 0; k < m->n; k++) {
                size_t i = m->entries[k].hash & mask;
                while (m->slots[i])
                        i = (i + 1) & mask;
                m->slots[i] = (uint32_t)(k + 1);
        }
}

static int make_room(struct map *m, struct err *e)
{
        if (m->n < m->cap)
                return 0;
        size_t n_slots = m->n_slots ? m->n_slots * 2 : MAP_FIRST_SLOTS;
        if (n_slots > UINT32_MAX)
                return err_nomem(e);
        struct entry *entries = reallocarray(m->entries, n_slots / 2, sizeof(*entries));
        if (!entries)
                return err_nomem(e);
        m->entries = entries;
        uint32_t *slots = reallocarray(m->slots, n_slots, sizeof(*slots));
        if (!slots)
                return err_nomem(e);
        m->slots = slots;
        m->n_slots = n_slots;
        m->cap = n_slots / 2;
        reindex(m);
        return 0;
}

int map_set(struct map *m, const char *key, void *value, struct err *e)
{
        struct entry *old = find(m, key);
        if (old) {
                void *before = old->value;
                old->value = value;
                if (before != value)
                        destroy_value(m, before);
                return 0;
        }
        int r = make_room(m, e);
        if (r < 0)
                return r;
        char *copy = str_dup(key);
        if (!copy)
                return err_nomem(e);
        uint64_t hash = sip_hash(m->seed, key);
        m->slots[find_slot(m, hash, key)] = (uint32_t)(m->n + 1);
        m->entries[m->n++] = (struct entry){.hash = hash, .key = copy, .value = value};
        return 0;
}

void *map_get(const struct map *m, const char *key)
{
        const struct entry *entry = find(m, key);
        return entry ? entry->value : NULL;
}

size_t map_count(const struct map *m)
{
        return m->n;
}

const char *map_key_at(const struct map *m, size_t i)
{
        return m->entries[i].key;
}

void *map_value_at(const struct map *m, size_t i)
{
        return m->entries[i].value;
}
