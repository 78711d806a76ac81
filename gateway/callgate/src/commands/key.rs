//! `callgate key new`: makes a key for a client.

use crate::{
    cli::{KeyTool, NewKey},
    commands::plugin::Finished,
};
use callgate_config::key_name_problem;
use callgate_secret::KeyDigest;
use rustix::rand::{GetRandomFlags, getrandom};
use std::fmt::Write as _;

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
enum KeyError {
    #[error("--name: {0}")]
    Name(String),
    #[error("the system gives no random bytes: {0}")]
    Random(rustix::io::Errno),
}

/// Runs the tool.
#[must_use]
pub fn run(tool: &KeyTool) -> Finished {
    let KeyTool::New(options) = tool;
    match new_key(options) {
        Ok(text) => Finished { text, ..Finished::default() },
        Err(error) => {
            Finished { complaint: format!("error: {error}\n"), code: 1, ..Finished::default() }
        }
    }
}

/// The key, and its lines for the config.
fn new_key(options: &NewKey) -> Result<String, KeyError> {
    if let Some(problem) = key_name_problem(&options.name) {
        return Err(KeyError::Name(problem));
    }
    let mut random = [0; 32];
    fill(&mut random)?;
    Ok(printed(&options.name, &random))
}

/// The system may give fewer bytes than were asked for.
fn fill(mut random: &mut [u8]) -> Result<(), KeyError> {
    while !random.is_empty() {
        let got = getrandom(&mut *random, GetRandomFlags::empty()).map_err(KeyError::Random)?;
        random = random.get_mut(got..).unwrap_or_default();
    }
    Ok(())
}

fn printed(name: &str, random: &[u8; 32]) -> String {
    let key = random.iter().fold("sk-".to_owned(), |mut key, byte| {
        // Writing to a string cannot fail.
        let _ = write!(key, "{byte:02x}");
        key
    });
    let digest = KeyDigest::of(key.as_bytes()).to_hex();
    // A JSON string is also one of YAML.
    let name = serde_json::Value::from(name);
    format!(
        "The key, which is not kept anywhere: give it to the client.\n\n{key}\n\n\
         Its entry for `callgate.keys`:\n\n  - name: {name}\n    sha256: {digest}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_has_the_digest_and_not_the_key() {
        let text = printed("ann", &[0xab; 32]);
        let key = format!("sk-{}", "ab".repeat(32));
        let digest = KeyDigest::of(key.as_bytes()).to_hex();
        assert!(text.contains(&format!("\n{key}\n")), "{text}");
        let entry = format!("  - name: \"ann\"\n    sha256: {digest}\n");
        assert!(text.ends_with(&entry), "{text}");
    }

    #[test]
    fn two_keys_differ_and_a_bad_name_is_refused() {
        let new = |name: &str| new_key(&NewKey { name: name.to_owned() });
        assert_ne!(new("ann").unwrap(), new("ann").unwrap());
        for name in ["", "master_key", "a*"] {
            assert!(new(name).is_err(), "{name}");
        }
    }
}
