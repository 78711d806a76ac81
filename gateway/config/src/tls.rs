//! `ssl_verify`, `ssl_certificate` and `ssl_certificate_key` of `litellm_settings` or of an entry,
//! as written, with their places. `deployments` reads the files and reports what is wrong with
//! them.

use super::{
    Unset,
    environment::Environment,
    expand::Expanded,
    problem::{Problem, SourceLocation},
    quote::quoted,
    reader::{Field, Reader},
    section::Section,
    yaml::Kind,
};
use std::path::{Path, PathBuf};

/// The TLS settings of one section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// `ssl_verify`
    pub verify: Option<(Verify, SourceLocation)>,
    /// `ssl_certificate`: the file of the gateway's certificate, and of its key if no other is
    /// named.
    pub certificate: Option<(PathBuf, SourceLocation)>,
    /// `ssl_certificate_key`
    pub certificate_key: Option<(PathBuf, SourceLocation)>,
    /// The first variable in them that is not set.
    pub unset: Option<Unset>,
}

/// How a server has to prove its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Not at all.
    Nothing,
    /// To the authorities that this machine trusts.
    System,
    /// To the authorities in this file alone.
    File(PathBuf),
}

impl TlsSettings {
    /// Overrides these settings, of `litellm_settings`, by the variables `SSL_VERIFY` and
    /// `SSL_CERTIFICATE`, as LiteLLM does.
    #[must_use]
    pub fn under(mut self, environment: &Environment) -> Self {
        let value = |name| Some((environment.filled_var(name)?, Environment::place_of(name)));
        if let Some((text, place)) = value("SSL_VERIFY") {
            self.verify = Some((Verify::of(text, Path::to_owned), place));
        }
        if let Some((text, place)) = value("SSL_CERTIFICATE") {
            self.certificate = Some((PathBuf::from(text.trim()), place));
        }
        self
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.verify.is_none() && self.certificate.is_none() && self.certificate_key.is_none()
    }

    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let authorities = match &self.verify {
            Some((Verify::File(file), _)) => Some(&**file),
            _ => None,
        };
        let own = [&self.certificate, &self.certificate_key].into_iter().flatten();
        authorities.into_iter().chain(own.map(|(file, _)| &**file))
    }
}

impl Verify {
    /// LiteLLM's words for true and false; anything else is a path.
    fn of(text: &str, path: impl FnOnce(&Path) -> PathBuf) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Self::System,
            "false" | "no" | "off" | "0" => Self::Nothing,
            _ => Self::File(path(Path::new(text.trim()))),
        }
    }
}

/// Reads the keys. Relative paths start at the config's folder.
pub(super) fn read(reader: &mut Reader<'_>, section: &mut Section<'_>) -> TlsSettings {
    let mut settings = TlsSettings::default();
    if let Some(field) = section.take("ssl_verify") {
        let text = value(reader, &field, "true, false or a file of certificates", &mut settings);
        settings.verify = text.map(|text| {
            let beside = |path: &Path| reader.beside_config(&path.to_string_lossy());
            (Verify::of(&text, beside), reader.place(&field))
        });
    }
    settings.certificate = file(reader, section, "ssl_certificate", &mut settings);
    settings.certificate_key = file(reader, section, "ssl_certificate_key", &mut settings);
    settings
}

fn file(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    settings: &mut TlsSettings,
) -> Option<(PathBuf, SourceLocation)> {
    let field = section.take(key)?;
    let text = value(reader, &field, "the path of a PEM file", settings)?;
    if let Verify::Nothing | Verify::System = Verify::of(&text, Path::to_owned) {
        let text = format!("expected the path of a PEM file, found `{}`", quoted(&text));
        reader.problems.push(Problem::error(reader.place(&field), text).remedy("leave it out"));
        return None;
    }
    Some((reader.beside_config(text.trim()), reader.place(&field)))
}

/// The text of a value that may be a switch. An unset variable is left to the calls that need it,
/// where the section has some.
fn value(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    what: &str,
    settings: &mut TlsSettings,
) -> Option<String> {
    let Kind::Scalar(scalar) = &field.node.kind else {
        reader.expected(field, what);
        return None;
    };
    let variable = match reader.expand(&scalar.text) {
        Expanded::Text(text, _) if !text.trim().is_empty() => return Some(text),
        Expanded::Text(_, variable) => variable?,
        Expanded::Unset(variable) => variable,
        Expanded::Malformed(_) => {
            reader.malformed(field);
            return None;
        }
    };
    let unset = reader.note_unset(field, &variable, reader.unset);
    settings.unset.get_or_insert(unset);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, UnknownKeys, parse};
    use std::sync::Arc;

    fn read(text: &str, pairs: &[(&'static str, &'static str)]) -> Config {
        let environment = Environment::from_pairs(pairs.iter().copied());
        let file = Arc::from(Path::new("etc/c.yaml"));
        parse(&file, text, &environment, UnknownKeys::Refuse).unwrap()
    }

    fn of_entry(params: &str) -> TlsSettings {
        let text = format!(
            "model_list: [{{model_name: a, litellm_params: {{model: openai/x, {params}}}}}]"
        );
        read(&text, &[("CA", "/ca.pem"), ("OFF", "False"), ("BLANK", " ")]).models[0].tls.clone()
    }

    #[test]
    fn a_switch_or_a_file_beside_the_config() {
        let file = |path: &str| Verify::File(path.into());
        for (written, expected) in [
            ("true", Some(Verify::System)),
            ("\"True\"", Some(Verify::System)),
            ("no", Some(Verify::Nothing)),
            ("0", Some(Verify::Nothing)),
            ("\"False\"", Some(Verify::Nothing)),
            ("os.environ/OFF", Some(Verify::Nothing)),
            ("os.environ/CA", Some(file("/ca.pem"))),
            ("ca.pem", Some(file("etc/ca.pem"))),
            ("\"\"", None),
            ("~", None),
        ] {
            let found = of_entry(&format!("ssl_verify: {written}"));
            assert_eq!(found.verify.map(|it| it.0), expected, "{written}");
            assert_eq!(found.unset, None);
        }
        for written in ["os.environ/NO_CA", "\"${BLANK}\""] {
            let found = of_entry(&format!("ssl_verify: {written}"));
            assert!(found.verify.is_none() && found.unset.is_some(), "{written}");
        }
    }

    #[test]
    fn certificates_are_files() {
        let found = of_entry("ssl_certificate: c.pem, ssl_certificate_key: /k.pem");
        let files: Vec<_> = found.files().collect();
        assert_eq!(files, [Path::new("etc/c.pem"), Path::new("/k.pem")]);
        assert!(!found.is_empty() && of_entry("").is_empty());
    }

    #[test]
    fn variables_win_over_the_general_settings() {
        let text = "litellm_settings: {ssl_verify: false, ssl_certificate: a.pem}";
        let general = read(text, &[]).litellm.tls;
        let verify = |pairs: &[(&'static str, &'static str)]| {
            let environment = Environment::from_pairs(pairs.iter().copied());
            let settings = general.clone().under(&environment);
            let place = settings.verify.as_ref().unwrap().1.to_string();
            (settings.verify.unwrap().0, settings.certificate.unwrap().0, place)
        };
        let (found, certificate, place) = verify(&[]);
        assert_eq!((found, certificate), (Verify::Nothing, "etc/a.pem".into()));
        assert!(place.contains("litellm_settings.ssl_verify"), "{place}");
        let (found, certificate, place) =
            verify(&[("SSL_VERIFY", "ca.pem"), ("SSL_CERTIFICATE", "b.pem")]);
        assert_eq!((found, certificate), (Verify::File("ca.pem".into()), "b.pem".into()));
        assert!(place.contains("SSL_VERIFY"), "{place}");
    }
}
