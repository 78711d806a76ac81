//! Which answer a request gets: first the queue, then the rule for its model, then the default.
//! Only calls of models use the script; probes such as `GET /api/tags` always get a plain answer
//! and leave the queue alone.

use super::{answer::Answer, journal::Received, prompt::WireFormat};
use std::collections::VecDeque;

/// The answers of a scripted upstream. By default every chat request gets a normal answer.
#[derive(Debug, Clone, Default)]
pub struct Script {
    queue: VecDeque<Answer>,
    by_model: Vec<(String, Answer)>,
    otherwise: Answer,
}

impl Script {
    /// Answers every chat request with `answer`.
    #[must_use]
    pub fn always(answer: Answer) -> Self {
        Self { otherwise: answer, ..Self::default() }
    }

    /// Queues `answer` for one request; queued answers are used in order, before any rule.
    #[must_use]
    pub fn then(mut self, answer: Answer) -> Self {
        self.push(answer);
        self
    }

    /// Answers requests for the upstream model `model` with this answer, if the queue is empty.
    #[must_use]
    pub fn model(mut self, model: &str, answer: Answer) -> Self {
        self.by_model.push((model.to_owned(), answer));
        self
    }

    pub fn push(&mut self, answer: Answer) {
        self.queue.push_back(answer);
    }

    pub(super) fn answer(&mut self, request: &Received) -> Answer {
        let Some(_) = WireFormat::of(request) else { return Answer::probe(request) };
        if let Some(queued) = self.queue.pop_front() {
            return queued;
        }
        let model = request.model();
        let rule = self.by_model.iter().find(|(known, _)| *known == model);
        rule.map_or_else(|| self.otherwise.clone(), |(_, answer)| answer.clone())
    }
}
