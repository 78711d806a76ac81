//! A failure as hooks see it.

use super::{reply::CallStats, streamed_text::within};
use callgate_call::valid_header;
use callgate_failure::Failure;
use plugin_api::{
    EditError, FailureKind,
    abi::serve::{Edited, FailureAccess},
    limits,
};
use std::borrow::Cow;

/// A failure on its way through the chain.
#[derive(Debug)]
pub struct ErrorPayload<'a> {
    pub failure: Failure,
    pub sent: bool,
    pub streamed: Cow<'a, str>,
    pub figures: CallStats,
}

impl ErrorPayload<'_> {
    /// An owned copy, for a hook that can time out.
    pub fn to_owned(&self) -> ErrorPayload<'static> {
        ErrorPayload {
            failure: self.failure.clone(),
            sent: self.sent,
            streamed: Cow::Owned(self.streamed.clone().into_owned()),
            figures: self.figures,
        }
    }
}

impl ErrorPayload<'_> {
    fn editable(&self) -> Edited {
        if self.sent { Err(EditError::TooLate) } else { Ok(()) }
    }

    /// A new `type` or `code`.
    fn word(&self, text: &str) -> Result<Cow<'static, str>, EditError> {
        self.editable()?;
        if text.len() > limits::CODE {
            return Err(EditError::TooLarge);
        }
        Ok(Cow::Owned(text.to_owned()))
    }
}

impl FailureAccess for ErrorPayload<'_> {
    fn kind(&self) -> FailureKind {
        self.failure.kind
    }

    fn status(&self) -> u16 {
        self.failure.status
    }

    fn code(&self) -> &str {
        self.failure.code_text()
    }

    fn message(&self) -> &str {
        &self.failure.message
    }

    fn set_status(&mut self, status: u16) -> Edited {
        self.editable()?;
        if !(400..600).contains(&status) {
            return Err(EditError::NotAllowed);
        }
        self.failure.status = status;
        Ok(())
    }

    fn set_message(&mut self, message: &str) -> Edited {
        self.editable()?;
        within(message, limits::MESSAGE).clone_into(&mut self.failure.message);
        Ok(())
    }

    fn sent(&self) -> bool {
        self.sent
    }

    fn text(&self) -> &str {
        &self.streamed
    }

    fn usage(&self) -> [Option<u64>; 3] {
        self.figures.tokens()
    }

    fn durations(&self) -> [Option<u64>; 3] {
        self.figures.durations()
    }

    fn callback(&self) -> Option<&str> {
        self.failure.callback.as_deref()
    }

    fn error_type(&self) -> &str {
        &self.failure.error_type
    }

    fn set_type(&mut self, error_type: &str) -> Edited {
        self.failure.error_type = self.word(error_type)?;
        Ok(())
    }

    fn set_code(&mut self, code: &str) -> Edited {
        self.failure.code = Some(self.word(code)?);
        Ok(())
    }

    fn set_header(&mut self, name: &str, value: &str) -> Edited {
        self.editable()?;
        let (name, _) = valid_header(name, value)?;
        let headers = &mut self.failure.headers;
        let others = headers.iter().filter(|(known, _)| name != **known);
        let used: usize = others.map(|(name, value)| name.len() + value.len()).sum();
        if used + name.as_str().len() + value.len() > limits::HEADERS {
            return Err(EditError::TooLarge);
        }
        headers.retain(|(known, _)| name != **known);
        headers.push((name.as_str().to_owned(), value.to_owned()));
        Ok(())
    }
}
