//! Variables of the process that are read by name, and misspelt ones.

use super::*;

#[test]
fn misspelt_and_odd_variables_are_reported() {
    let file: Arc<Path> = Arc::from(Path::new("c.yaml"));
    const PERMIT: &str = "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY";
    for (pairs, said) in [
        (&[("LITELLM_MASTERKEY", "sk-1")][..], Some("did you mean `LITELLM_MASTER_KEY`?")),
        (
            &[("LITELLM_MASTER_KEYS", "sk-1")],
            Some("environment: LITELLM_MASTER_KEYS: this variable"),
        ),
        (&[("LITELLM_MASTERKEY", "sk-1"), ("LITELLM_MASTER_KEY", "sk-2")], None),
        (&[("LITELLM_SALT_KEY", "sk-1"), ("LITELLM_LOG", "DEBUG")], None),
        (&[(PERMIT, "yes")], Some("expected true or false, found `yes`; it counts as false")),
        (&[(PERMIT, "True")], None),
    ] {
        let env = Environment::from_pairs(pairs.iter().copied());
        let text = "model_list: []";
        let found = match parse(&file, text, &env, UnknownKeys::Warn) {
            Ok(config) => Problems(config.problems).to_string(),
            Err(problems) => problems.to_string(),
        };
        assert!(said.map_or(found.is_empty(), |said| found.contains(said)), "{pairs:?}: {found}");
    }
}
