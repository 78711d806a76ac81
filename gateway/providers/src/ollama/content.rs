//! The content of one OpenAI message: text parts and images.
//!
//! Ollama takes one string and, beside it, bare base64 data. It cannot fetch URLs, and takes no
//! audio and no files, so these are refused here. Called by `messages`.

use super::{
    error::TranslateError,
    json::{Str, Text, elements, kind, problem, set, string},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The text parts and images of one message, in order.
#[derive(Debug, Default)]
pub(super) struct Content<'a> {
    pub(super) texts: Vec<Text<'a>>,
    pub(super) images: Vec<Cow<'a, str>>,
}

impl<'a> Content<'a> {
    /// Reads the `content` of message number `at`; absent and null mean no text.
    pub(super) fn of(source: Option<&'a RawValue>, at: usize) -> Result<Self, TranslateError> {
        let mut content = Self::default();
        let Some(source) = set(source) else { return Ok(content) };
        if let Some(text) = Text::of(source) {
            content.texts.push(text);
            return Ok(content);
        }
        let parts = elements(source).ok_or_else(|| TranslateError::WrongType {
            param: format!("messages[{at}].content"),
            expected: "a string or an array of content parts",
            found: kind(source),
        })?;
        for (index, part) in parts.enumerate() {
            let part: Part<'_> =
                serde_json::from_str(part).map_err(|_| TranslateError::WrongType {
                    param: format!("messages[{at}].content"),
                    expected: "an array of objects with a `type`",
                    found: "an array of something else",
                })?;
            content.add(&part, &|| format!("messages[{at}].content[{index}]"))?;
        }
        Ok(content)
    }

    /// Adds the images of Ollama's own `images` member.
    pub(super) fn add_images(
        &mut self,
        source: Option<&'a RawValue>,
        at: usize,
    ) -> Result<(), TranslateError> {
        let Some(source) = set(source) else { return Ok(()) };
        let images = elements(source).ok_or_else(|| TranslateError::WrongType {
            param: format!("messages[{at}].images"),
            expected: "an array of pictures",
            found: kind(source),
        })?;
        for (index, picture) in images.enumerate() {
            let place = || format!("messages[{at}].images[{index}]");
            let picture = serde_json::from_str(picture)
                .map_err(|_| TranslateError::Image { param: place(), problem: "is not text" })?;
            self.images.push(image(Some(picture), &place)?);
        }
        Ok(())
    }

    fn add(&mut self, part: &Part<'a>, place: &dyn Fn() -> String) -> Result<(), TranslateError> {
        let (field, value) = match &*part.kind.0 {
            "text" => ("text", part.text),
            "refusal" => ("refusal", part.refusal),
            "image_url" => {
                self.images.push(image(part.image_url, &|| format!("{}.image_url", place()))?);
                return Ok(());
            }
            _ => return Err(TranslateError::ContentPart { param: place() }),
        };
        let path = || format!("{}.{field}", place());
        let text = string(value, path)?;
        self.texts.push(text.ok_or_else(|| TranslateError::Missing { param: path() })?);
        Ok(())
    }

    /// All text parts as one text.
    pub(super) fn decode(&self, at: usize) -> Result<String, TranslateError> {
        let mut whole = String::new();
        for text in &self.texts {
            let text = text.decode().map_err(|error| TranslateError::NotJson {
                reason: format!("in `messages[{at}].content`, {}", problem(&error)),
            })?;
            whole.push_str(&text);
        }
        Ok(whole)
    }
}

#[derive(Debug, Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct ImageUrl<'a> {
    #[serde(borrow)]
    url: Option<&'a RawValue>,
}

/// The base64 text of an image part, given as a string or as `{"url": …}`.
fn image<'a>(
    value: Option<&'a RawValue>,
    place: &dyn Fn() -> String,
) -> Result<Cow<'a, str>, TranslateError> {
    let url = match set(value) {
        Some(object) if object.get().starts_with('{') => {
            let object = serde_json::from_str::<ImageUrl<'_>>(object.get());
            string(object.ok().and_then(|object| object.url), || format!("{}.url", place()))?
        }
        value => string(value, place)?,
    };
    let url = url.ok_or_else(|| TranslateError::Missing { param: place() })?;
    let refused = |problem| TranslateError::Image { param: place(), problem };
    match url.decode().map_err(|_| refused("holds an escape that is not a character"))? {
        Cow::Borrowed(url) => base64_of(url).map(Cow::Borrowed).map_err(refused),
        Cow::Owned(url) => base64_of(&url).map(|data| Cow::Owned(data.to_owned())).map_err(refused),
    }
}

/// The data of a base64 `data:` URI of any media type; bare base64 is returned as it is.
fn base64_of(url: &str) -> Result<&str, &'static str> {
    let data = match url.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("data") => {
            let (media, data) = rest.split_once(',').ok_or("is a data URI without a comma")?;
            if !media.to_ascii_lowercase().ends_with(";base64") {
                return Err("is a data URI that is not base64");
            }
            data
        }
        Some(_) => return Err("is an address, and Ollama fetches no pictures"),
        None => url,
    };
    if data.is_empty() { Err("holds no picture") } else { Ok(data) }
}
