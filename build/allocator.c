/*
 * Has glibc map each buffer of 48 kB or more on its own, and give it back to the system when it is freed.
 *
 * By default it does so from 128 kB on, but only until the first such buffer is freed: from then on, buffers of up to that
 * size come from the heap (see M_MMAP_THRESHOLD in mallopt(3)). There they leave gaps of a megabyte, and what is only
 * reserved is copied, and so becomes resident, when the heap has to move it. The memory that the program announces at its
 * start could then be exceeded by tens of megabytes. Blocks of waiting documents (MEMORY_BLOCK_BYTES_MAX in src/limits.rs)
 * are just large enough to be mapped.
 *
 * All threads share one heap: those for name lookups would otherwise have heaps of their own, which stay when they end.
 */
#include <malloc.h>

__attribute__((constructor)) static void set_up_allocator(void)
{
    mallopt(M_MMAP_THRESHOLD, 48 << 10);
    mallopt(M_ARENA_MAX, 1);
}
