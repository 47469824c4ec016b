//! The allocator's settings. The only file with `unsafe` code: two calls into the C library
//! that take and return numbers, for which no safe wrapper exists.
//!
//! glibc gives each thread a heap of its own, and what one thread frees no other uses. A daemon
//! reads its site file on one thread and runs it on another: some of its memory would be what
//! was left of the reading. Its threads seldom allocate at the same time, so one heap
//! serves them all.

#![allow(unsafe_code)]

/// Lets all threads share one heap. To be called before there are any.
pub(crate) fn share_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` sets a number in the allocator and may be called at any time.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Returns free memory to the system: after work that needed much of it for a moment.
pub(crate) fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` releases what is free, under the allocator's own lock.
    let _ = unsafe { libc::malloc_trim(0) };
}
