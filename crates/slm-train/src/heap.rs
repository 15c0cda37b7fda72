//! The process's heap while it trains.
//!
//! A step takes and gives back the same large buffers as the step before. glibc maps each of
//! them anew, so that the kernel clears their pages again and again (90,000 page faults a step of
//! SmolLM2-135M); kept in the process, and on huge pages, they cost neither faults nor most of
//! the misses in the translation buffer. Elsewhere than on Linux with glibc nothing is done.

/// The heap holds on to what is given back, until this is dropped.
#[derive(Debug)]
pub struct Heap(());

impl Heap {
    /// Lets all threads that begin later allocate from one heap; to be called before they do,
    /// because what a thread takes from a heap of its own is not kept.
    pub fn share() {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        glibc::share();
    }

    /// Keeps what is given back, and prepares `bytes` of address space: memory is only taken
    /// when it is written to.
    pub fn keep(bytes: u64) -> Self {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        glibc::keep(usize::try_from(bytes).unwrap_or(usize::MAX));
        #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
        let _ = bytes;
        Self(())
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        glibc::give_back();
    }
}

/// Bytes of this process that are in memory, where the system tells them.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use libc::c_int;

    /// The largest threshold that glibc itself comes to (mallopt(3)).
    const MMAP_THRESHOLD: c_int = 32 << 20;
    const MMAP_MAX: c_int = 65_536;
    const HUGE_PAGE: usize = 2 << 20;

    fn set(option: c_int, value: c_int) {
        // SAFETY: mallopt may be called at any time; a value that it refuses changes nothing.
        unsafe { libc::mallopt(option, value) };
    }

    pub fn share() {
        set(libc::M_ARENA_MAX, 1);
    }

    pub fn keep(bytes: usize) {
        set(libc::M_MMAP_MAX, 0);
        set(libc::M_TRIM_THRESHOLD, c_int::MAX);
        set(libc::M_TOP_PAD, HUGE_PAGE as c_int);
        // SAFETY: the block is not used, only its addresses: given back, they are the end of the
        // heap, and the advice on whole pages of them changes no content.
        unsafe {
            let block = libc::malloc(bytes);
            if !block.is_null() {
                let from = (block as usize).next_multiple_of(HUGE_PAGE);
                let length = (block as usize + bytes).saturating_sub(from);
                libc::free(block);
                libc::madvise(from as *mut libc::c_void, length, libc::MADV_HUGEPAGE);
            }
        }
    }

    pub fn give_back() {
        set(libc::M_MMAP_MAX, MMAP_MAX);
        set(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD);
        set(libc::M_TRIM_THRESHOLD, 2 * MMAP_THRESHOLD);
        // SAFETY: gives unused pages back to the system; may be called at any time.
        unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn resident() -> u64 {
        resident_bytes().unwrap()
    }

    #[test]
    fn what_is_prepared_takes_no_memory_and_what_was_kept_is_given_back() {
        let before = resident();
        let heap = Heap::keep(1 << 30);
        assert!(resident() < before + (64 << 20));
        let buffer = vec![1_u8; 256 << 20];
        assert!(resident() > before + (250 << 20), "{}", buffer[12_345]);
        drop(buffer);
        drop(heap);
        assert!(resident() < before + (64 << 20));
    }
}
