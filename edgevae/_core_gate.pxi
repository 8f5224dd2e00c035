# The gate that lets many waiting threads pass at once.
#
# It neither wakes a thread while it holds the GIL nor takes the GIL while it wakes threads. A
# thread that is woken by a holder of the GIL runs at once, finds the GIL taken and sleeps again, so
# that each of Python's own locks costs two switches of threads instead of one.
#
# On Linux all threads sleep on one futex and are woken by one call of the system. Elsewhere they
# pass a lock one after the other, each of which lets the next one in.

cdef extern from *:
    """
    #ifdef __linux__
    #include <limits.h>
    #include <linux/futex.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    typedef struct { int opened; } ev_gate;

    static int ev_gate_init(ev_gate *gate) { gate->opened = 0; return 0; }
    static void ev_gate_free(ev_gate *gate) { (void)gate; }
    static int ev_gate_is_open(ev_gate *gate) {
        return __atomic_load_n(&gate->opened, __ATOMIC_ACQUIRE);
    }
    static void ev_gate_open(ev_gate *gate) {
        __atomic_store_n(&gate->opened, 1, __ATOMIC_RELEASE);
        syscall(SYS_futex, &gate->opened, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
    /* Sleeps until the gate opens, but returns early for a signal and sometimes for no reason. */
    static void ev_gate_sleep(ev_gate *gate) {
        syscall(SYS_futex, &gate->opened, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    }
    #else
    typedef struct { PyThread_type_lock lock; int opened; } ev_gate;

    static int ev_gate_init(ev_gate *gate) {
        gate->opened = 0;
        gate->lock = PyThread_allocate_lock();
        if (gate->lock == NULL) return -1;
        PyThread_acquire_lock(gate->lock, NOWAIT_LOCK);
        return 0;
    }
    static void ev_gate_free(ev_gate *gate) {
        if (gate->lock != NULL) PyThread_free_lock(gate->lock);
    }
    static int ev_gate_is_open(ev_gate *gate) { return gate->opened; }
    static void ev_gate_open(ev_gate *gate) {
        gate->opened = 1;
        PyThread_release_lock(gate->lock);
    }
    static void ev_gate_sleep(ev_gate *gate) {
        if (PyThread_acquire_lock_timed(gate->lock, -1, 1) == PY_LOCK_ACQUIRED)
            PyThread_release_lock(gate->lock);
    }
    #endif
    """
    int PyErr_CheckSignals() except -1
    ctypedef struct ev_gate:
        pass
    int ev_gate_init(ev_gate *)
    void ev_gate_free(ev_gate *)
    bint ev_gate_is_open(ev_gate *) nogil
    void ev_gate_open(ev_gate *) nogil
    void ev_gate_sleep(ev_gate *) nogil


cdef class Gate:
    """A gate that threads wait at until it is opened, once and for ever.

    Any number of threads may wait; `open` wakes all of them and may be called once. The object may
    not be used in the child of a fork.
    """

    cdef ev_gate gate

    def __cinit__(self):
        if ev_gate_init(&self.gate) != 0:
            raise MemoryError

    def __dealloc__(self):
        ev_gate_free(&self.gate)

    def wait(self):
        """Return when the gate is open. A signal's handler, such as Ctrl-C, may raise."""
        cdef PyThreadState *thread
        while not ev_gate_is_open(&self.gate):
            thread = PyEval_SaveThread()
            ev_gate_sleep(&self.gate)
            PyEval_RestoreThread(thread)
            PyErr_CheckSignals()

    def open(self):
        """Let all threads pass, those that wait and those that come later."""
        cdef PyThreadState *thread = PyEval_SaveThread()
        ev_gate_open(&self.gate)
        PyEval_RestoreThread(thread)
