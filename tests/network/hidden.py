"""A world without Landlock: the kernel does not know the system calls 444 to 446 there (seccomp(2))."""

HIDDEN = """
import ctypes, os, struct, sys
LOAD, GREATER_OR_EQUAL, RETURN, ENOSYS = 0x20, 0x35, 0x06, 38
steps = [(LOAD, 0, 0, 0), (GREATER_OR_EQUAL, 0, 2, 444), (GREATER_OR_EQUAL, 1, 0, 447),
         (RETURN, 0, 0, 0x00050000 | ENOSYS), (RETURN, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in steps))
program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(22, 2, program, 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
"""
