//! Which answer a request gets: first the queue, then the rule for its model, then the default.
//! Only calls of models use the script; probes such as `GET /api/tags` always get a plain answer
//! and leave the queue alone. A path may have answers of its own.

use super::{answer::Answer, journal::Received, prompt::WireFormat};
use std::collections::VecDeque;

/// The answers of a scripted upstream. By default every chat request gets a normal answer.
#[derive(Debug, Clone, Default)]
pub struct Script {
    queue: VecDeque<Answer>,
    by_model: Vec<(String, Answer)>,
    by_path: Vec<(String, VecDeque<Answer>)>,
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

    /// Answers requests whose path ends like this with these, in order, and then with the last one
    /// again.
    #[must_use]
    pub fn path(mut self, end: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.by_path.push((end.to_owned(), answers.into_iter().collect()));
        self
    }

    pub fn push(&mut self, answer: Answer) {
        self.queue.push_back(answer);
    }

    pub(super) fn answer(&mut self, request: &Received) -> Answer {
        let path = request.path.split('?').next().unwrap_or_default();
        let of_path = self.by_path.iter_mut().find(|(end, _)| path.ends_with(&**end));
        if let Some((_, answers)) = of_path
            && let Some(next) = answers.pop_front()
        {
            if answers.is_empty() {
                answers.push_back(next.clone());
            }
            return next;
        }
        let Some(_) = WireFormat::of(request) else { return Answer::probe(request) };
        if let Some(queued) = self.queue.pop_front() {
            return queued;
        }
        let model = request.model();
        let rule = self.by_model.iter().find(|(known, _)| *known == model);
        rule.map_or_else(|| self.otherwise.clone(), |(_, answer)| answer.clone())
    }
}
