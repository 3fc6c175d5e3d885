//! Work on long texts, away from the thread that all cells share.

/// Length in bytes of the text from which on it is worked on by a thread of its own. That takes milliseconds for each
/// mebibyte, in which all other cells would wait; a shorter one is done before a thread would have begun.
const LONG: usize = 64 * 1024;

/// Does `work` on a text of `length` bytes.
pub(crate) async fn on<T: Send + 'static>(length: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if length < LONG {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is ending, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_long_texts_get_a_thread() {
        let here = std::thread::current().id();
        for (length, stays) in [(0, true), (LONG - 1, true), (LONG, false)] {
            let there = on(length, || std::thread::current().id()).await;
            assert_eq!(there == here, stays, "{length} bytes");
        }
    }
}
