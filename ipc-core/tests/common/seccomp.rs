//! System calls refused in the calling thread, to be on a kernel or file system that cannot do
//! them.

/// What of an argument's lower half makes the call be refused.
pub enum When {
    /// All these bits are set.
    Bits(u32),
    /// It is larger.
    Above(u32),
}

/// Refuses calls whose argument of this index is as said. For the rest of the thread's life, and
/// in its children.
pub fn refuse(call: libc::c_long, argument: u32, when: When, error: libc::c_int) {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let jump = |how: u32| libc::BPF_JMP | how | libc::BPF_K;
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let low = if cfg!(target_endian = "little") { 0 } else { 4 };
    let mut program = vec![
        step(LOAD, 0, 0, 0),
        step(jump(libc::BPF_JEQ), 0, 4, call as u32),
        step(LOAD, 0, 0, 16 + 8 * argument + low),
    ];
    match when {
        When::Bits(bits) => {
            program.push(step(
                libc::BPF_ALU | libc::BPF_AND | libc::BPF_K,
                0,
                0,
                bits,
            ));
            program.push(step(jump(libc::BPF_JEQ), 0, 1, bits));
            program[1].jf = 4;
        }
        When::Above(limit) => {
            program.push(step(jump(libc::BPF_JGT), 0, 1, limit));
            program[1].jf = 3;
        }
    }
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32));
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the filter is a valid program that lives during the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let done = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter);
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }
}
