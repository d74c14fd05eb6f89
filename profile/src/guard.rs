//! Keeps a process that holds secrets from leaving them in a core dump.

/// Sets this process's core limit to 0, soft and hard, so that it cannot be raised again. On Linux the process is also
/// marked not dumpable (`prctl(2)`, `PR_SET_DUMPABLE`): a core handler that ignores the limit gets none either, and other
/// processes of the same user cannot trace it.
///
/// # Errors
/// The system's.
pub fn no_core_dumps() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        setrlimit(Resource::Core, none)?;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}
