//! Slow work on a thread of its own, so that it delays no runtime.

/// Does `work` on a thread named `name`.
///
/// # Errors
/// If the thread cannot be started, or the work fails or panics.
pub(crate) async fn run<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let (reply, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name(name.into()).spawn(move || {
        let _ = reply.send(work());
    })?;
    result.await?
}
