//! Random bytes, from the module's generator (SP 800-90A).

use aws_lc_rs::rand;

/// The generator does not answer. What needed it must not go on.
#[derive(Debug, thiserror::Error)]
#[error("the random number generator does not answer; restart nanoclaw")]
pub struct RandomError;

/// `N` bytes that nobody can guess.
///
/// # Errors
/// The generator does not answer.
pub fn bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<32>().unwrap(), bytes::<32>().unwrap());
    }
}
