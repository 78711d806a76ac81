//! Tries the corpus of a target and mutations of it. The same seed tries the same inputs in the
//! same order, however long it runs.

use crate::{corpus, minimise::minimised, mutate::mutated, targets::Target};
use fastrand::Rng;
use std::{
    cell::RefCell,
    io,
    panic::{self, AssertUnwindSafe},
    time::Instant,
};

thread_local! {
    /// The message of the last panic.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub enum Budget {
    /// After so many mutations.
    Runs(u64),
    /// At this time.
    Until(Instant),
}

impl Budget {
    fn is_spent(self, runs: u64) -> bool {
        match self {
            Self::Runs(most) => runs >= most,
            Self::Until(end) => Instant::now() >= end,
        }
    }
}

/// An input that violates a property.
#[derive(Debug)]
pub struct Finding {
    /// The input, as small as it could be made.
    pub input: Vec<u8>,
    /// The target's message.
    pub message: String,
}

/// The result for a target.
#[derive(Debug)]
pub struct Outcome {
    /// The number of inputs tried.
    pub runs: u64,
    /// The first failing input.
    pub finding: Option<Finding>,
}

/// Stores panic messages for [`Finding::message`] instead of printing them, for the whole process.
pub fn hush_panics() {
    panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        SAID.with(|said| *said.borrow_mut() = text);
    }));
}

/// Tries the whole corpus, then mutations until the budget is spent or there is a finding. `watch`
/// gets each input before it is tried.
///
/// # Errors
/// If there is no corpus.
pub fn run(
    target: &Target,
    seed: u64,
    budget: Budget,
    mut watch: impl FnMut(&[u8]),
) -> io::Result<Outcome> {
    let mut seeds = corpus::read(target.name)?;
    for (name, bytes) in target.seeds() {
        seeds.push((name, bytes));
    }
    let mut random = Rng::with_seed(seed ^ corpus::hash(target.name.as_bytes()));
    let mut runs = 0;
    for (name, input) in &seeds {
        watch(input);
        runs += 1;
        if let Err(message) = try_input(target, input) {
            let finding = Finding { input: input.clone(), message: format!("{name}: {message}") };
            return Ok(Outcome { runs, finding: Some(finding) });
        }
    }
    let mut mutations = 0;
    while !budget.is_spent(mutations) {
        let Some((_, from)) = random.choice(&seeds) else { break };
        let input = mutated(from, &seeds, target.tokens, target.largest, &mut random);
        watch(&input);
        (mutations, runs) = (mutations + 1, runs + 1);
        if try_input(target, &input).is_err() {
            let input = minimised(&input, |input| try_input(target, input).is_err());
            let message = try_input(target, &input).err().unwrap_or_default();
            return Ok(Outcome { runs, finding: Some(Finding { input, message }) });
        }
    }
    Ok(Outcome { runs, finding: None })
}

/// Tries one input.
///
/// # Errors
/// The target's message, if a property is violated.
pub fn try_input(target: &Target, input: &[u8]) -> Result<(), String> {
    let check = AssertUnwindSafe(|| (target.check)(input));
    panic::catch_unwind(check).map_err(|payload| {
        let said = SAID.with(RefCell::take);
        let words = payload.downcast_ref::<String>().cloned();
        if said.is_empty() { words.unwrap_or_else(|| "it panicked".to_owned()) } else { said }
    })
}
