/* A plugin of qemu's user mode that counts the instructions which a guest program executes.
 *
 *     gcc -O2 -shared -fPIC -o count.so benchmarks/count_instructions.c
 *     qemu-aarch64 -plugin ./count.so ...
 *
 * At each getpriority(COUNTER, label) of the guest, a call that the kernel refuses, it prints the
 * label and the numbers executed since the last one to standard error: all instructions, vector
 * multiply-adds, dot products of 8-bit numbers, loads, and stores. Counts repeat exactly for the
 * same input. The declarations below are those of version 1 of the interface that are needed, since
 * Debian packages no header. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { ADD_U64 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id,
                                           void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_syscall_cb(plugin_id,
                                          void (*)(plugin_id, unsigned, int64_t, uint64_t,
                                                   uint64_t, uint64_t, uint64_t, uint64_t,
                                                   uint64_t, uint64_t, uint64_t));

int qemu_plugin_version = 1;

enum { GETPRIORITY = 141, COUNTER = 77 }; /* the system call on aarch64; a `which` of ours */

enum { ALL, FMLA, DOT, LOAD, STORE, CLASSES };
static const char *const names[CLASSES] = {"all", "fmla", "dot", "load", "store"};
static uint64_t executed[CLASSES], reported[CLASSES];

/* Return the class of an instruction beside ALL, or ALL if it has none. The masks follow the
 * encoding tables of the Arm Architecture Reference Manual (DDI 0487), section C4.1. */
static int class_of(uint32_t code)
{
    if ((code & 0x0a000000) == 0x08000000) { /* loads and stores */
        int literal = (code & 0x3b000000) == 0x18000000;
        int one_register = (code & 0x38000000) == 0x38000000;
        uint32_t loads = one_register && !(code & 0x04000000) ? code & 0x00c00000
                                                              : code & 0x00400000;
        return literal || loads ? LOAD : STORE;
    }
    if ((code & 0xbfa0fc00) == 0x0e20cc00 || (code & 0xbf80f400) == 0x0f801000)
        return FMLA; /* vectors; vector by element */
    if ((code & 0x9f20fc00) == 0x0e009400 || (code & 0x9f00f400) == 0x0f00e000)
        return DOT;
    return ALL;
}

static void translate(plugin_id id, struct qemu_plugin_tb *block)
{
    uint64_t held[CLASSES] = {qemu_plugin_tb_n_insns(block)};
    for (size_t i = 0; i < held[ALL]; i++) {
        uint32_t code;
        memcpy(&code, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof code);
        int class = class_of(code);
        if (class != ALL)
            held[class]++;
    }
    for (int class = 0; class < CLASSES; class++)
        if (held[class])
            qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &executed[class], held[class]);
    (void)id;
}

static void report(plugin_id id, unsigned cpu, int64_t number, uint64_t which, uint64_t label,
                   uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
    if (number != GETPRIORITY || which != COUNTER)
        return;
    fprintf(stderr, "COUNT %" PRIu64, label);
    for (int class = 0; class < CLASSES; class++) {
        fprintf(stderr, " %s=%" PRIu64, names[class], executed[class] - reported[class]);
        reported[class] = executed[class];
    }
    fprintf(stderr, "\n");
    (void)id, (void)cpu, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
}

int qemu_plugin_install(plugin_id id, const void *info, int count, char **arguments)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_vcpu_syscall_cb(id, report);
    (void)info, (void)count, (void)arguments;
    return 0;
}
