//! Prometheus' text format, version 0.0.4.

use super::Histogram;
use std::fmt::Write as _;

/// The text so far. The head of a family comes before its samples.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// The head of a family; `kind` is `counter`, `gauge` or `histogram`.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// One sample.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        self.labels(labels, None);
        self.value(value);
    }

    /// The samples of one histogram.
    pub fn histogram(&mut self, name: &str, labels: &[(&str, &str)], it: &Histogram) {
        let mut count = 0;
        for (bound, seen) in it.buckets() {
            count += seen;
            self.0.push_str(name);
            self.0.push_str("_bucket");
            self.labels(labels, Some(bound));
            self.value(count as f64);
        }
        self.sample(&format!("{name}_sum"), labels, it.sum());
        self.sample(&format!("{name}_count"), labels, count as f64);
    }

    pub fn finish(self) -> String {
        self.0
    }

    fn labels(&mut self, labels: &[(&str, &str)], bound: Option<f64>) {
        if labels.is_empty() && bound.is_none() {
            return;
        }
        let mut next = '{';
        for (name, value) in labels {
            self.0.push(next);
            next = ',';
            let _ = write!(self.0, "{name}=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        if let Some(bound) = bound {
            self.0.push(next);
            self.0.push_str("le=\"");
            self.number(bound);
            self.0.push('"');
        }
        self.0.push('}');
    }

    fn value(&mut self, value: f64) {
        self.0.push(' ');
        self.number(value);
        self.0.push('\n');
    }

    fn number(&mut self, value: f64) {
        if value.is_infinite() {
            self.0.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        } else {
            let _ = write!(self.0, "{value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_labels_can_be_read_back() {
        let mut text = Exposition::default();
        text.family("a_total", "counter", "two\nlines \\ here");
        text.sample("a_total", &[("model", "q\"\\\n"), ("n", "é")], 1.5);
        text.sample("b", &[], f64::NAN);
        let histogram = Histogram::new(&[0.5, 1.0]);
        for value in [0.5, 0.6, 7.0] {
            histogram.record(value);
        }
        text.histogram("h", &[("m", "x")], &histogram);
        assert_eq!(
            text.finish(),
            "# HELP a_total two\\nlines \\\\ here\n# TYPE a_total counter\n\
             a_total{model=\"q\\\"\\\\\\n\",n=\"é\"} 1.5\nb NaN\n\
             h_bucket{m=\"x\",le=\"0.5\"} 1\nh_bucket{m=\"x\",le=\"1\"} 2\n\
             h_bucket{m=\"x\",le=\"+Inf\"} 3\nh_sum{m=\"x\"} 8.1\nh_count{m=\"x\"} 3\n"
        );
    }
}
