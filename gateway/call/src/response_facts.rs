//! The upstream's response as callbacks see it: its status and its headers.

use serde_json::{Map, Value};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// The place for the facts of a response that has not arrived. The task that reads the response
/// fills it; hooks read it afterwards.
pub type ResponseSlot = Arc<OnceLock<ResponseFacts>>;

/// The status and the headers of an upstream's response. `Debug` shows no values.
pub struct ResponseFacts {
    status: String,
    /// Names in lower case, values without secrets.
    headers: Vec<(String, String)>,
    json: OnceLock<String>,
}

impl ResponseFacts {
    /// The facts of a response. The caller masks the values; names may have any case.
    pub fn new(status: u16, headers: impl Iterator<Item = (String, String)>) -> Self {
        let lower = headers.map(|(name, value)| (name.to_ascii_lowercase(), value));
        Self { status: status.to_string(), headers: lower.collect(), json: OnceLock::new() }
    }

    /// The status, in digits.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// The first value of a header, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// All headers as a JSON object; of several with one name, the first counts.
    pub fn headers_json(&self) -> &str {
        self.json.get_or_init(|| {
            let mut object = Map::new();
            for (name, value) in &self.headers {
                object.entry(name).or_insert_with(|| Value::from(value.as_str()));
            }
            Value::Object(object).to_string()
        })
    }
}

impl fmt::Debug for ResponseFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFacts").field("status", &self.status).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::ResponseFacts;
    use serde_json::Value;

    #[test]
    fn of_several_headers_with_one_name_the_first_counts() {
        let headers = [("X-Cache", "hit"), ("x-cache", "miss"), ("Date", "today")];
        let owned = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let facts = ResponseFacts::new(200, owned.into_iter());
        assert_eq!(facts.header("X-CACHE"), Some("hit"));
        assert_eq!((facts.header("etag"), facts.status()), (None, "200"));
        let headers: Value = serde_json::from_str(facts.headers_json()).unwrap();
        assert_eq!(headers, serde_json::json!({"date": "today", "x-cache": "hit"}));
    }
}
