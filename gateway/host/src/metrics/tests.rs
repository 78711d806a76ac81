//! Metrics of several instances, with and without labels, and what is refused.

use super::*;

fn text(all: &PluginMetrics) -> String {
    let mut text = Exposition::default();
    all.write(&mut text);
    text.finish()
}

#[test]
fn a_new_instance_goes_on_counting_and_others_count_apart() {
    let all = Arc::new(PluginMetrics::default());
    for (instance, value) in [("a", 1.0), ("b", 10.0), ("a", 2.0)] {
        let metrics = InstanceMetrics::new(&all, "my-cb", &Arc::from(instance));
        let id = metrics.register(MetricKind::Counter, "n_total", "Things.", &[]).unwrap();
        assert_eq!(metrics.register(MetricKind::Counter, "n_total", "", &[]), Ok(id));
        for value in [value, -5.0, f64::NAN, f64::INFINITY] {
            metrics.record(id, value);
        }
        metrics.record(id + 1, 1.0);
    }
    assert_eq!(
        text(&all),
        "# HELP callgate_plugin_my_cb_n_total Things.\n\
         # TYPE callgate_plugin_my_cb_n_total counter\n\
         callgate_plugin_my_cb_n_total{callback=\"a\"} 3\n\
         callgate_plugin_my_cb_n_total{callback=\"b\"} 10\n"
    );
}

#[test]
fn what_would_break_the_text_is_refused() {
    let all = Arc::new(PluginMetrics::default());
    let metrics = InstanceMetrics::new(&all, "c", &Arc::from("c"));
    metrics.register(MetricKind::Gauge, "g", "", &[]).unwrap();
    let long = "x".repeat(MAX_NAME + 1);
    for (kind, name, bounds) in [
        (MetricKind::Counter, "g", &[][..]),
        (MetricKind::Gauge, "", &[]),
        (MetricKind::Gauge, "1", &[]),
        (MetricKind::Gauge, "a b", &[]),
        (MetricKind::Gauge, "a\n", &[]),
        (MetricKind::Gauge, &long, &[]),
        (MetricKind::Histogram, "h", &[1.0, 1.0]),
        (MetricKind::Histogram, "h", &[f64::INFINITY]),
    ] {
        let refused = metrics.register(kind, name, "", bounds).unwrap_err();
        assert_eq!(refused.kind, HostErrorKind::INVALID, "{name}");
    }
    for index in 1..MAX_METRICS {
        metrics.register(MetricKind::Gauge, &format!("g{index}"), "", &[]).unwrap();
    }
    let refused = metrics.register(MetricKind::Gauge, "more", "", &[]).unwrap_err();
    assert_eq!(refused.kind, HostErrorKind::FULL);
    assert!(!text(&all).contains("_more"));
}

#[test]
fn series_with_labels_are_bounded_escaped_and_survive_their_instance() {
    let all = Arc::new(PluginMetrics::default());
    for instance in ["a", "a", "b"] {
        let metrics = InstanceMetrics::new(&all, "c", &Arc::from(instance));
        let register =
            || metrics.register_labeled(MetricKind::Counter, "n_total", "N.", &[], &["team", "x"]);
        let id = register().unwrap();
        assert_eq!(register(), Ok(id));
        let add = |values: [&str; 2], value| {
            metrics.record(metrics.series(id, &values).unwrap(), value);
        };
        add(["blue", "a\"\\\n}"], 1.0);
        if instance == "b" {
            (0..1000).for_each(|index| add([&index.to_string(), ""], 1.0));
        }
        assert!(metrics.series(id, &["blue"]).is_err());
        assert!(metrics.series(id + 1, &["blue", "x"]).is_err());
        metrics.record(labels::id(id, 999), 1.0);
        metrics.record(labels::id(id + 1, 0), 1.0);
        metrics.record(u64::MAX, 1.0);
    }
    let text = text(&all);
    let sample = |rest: &str| text.contains(&format!("\ncallgate_plugin_c_n_total{{{rest}\n"));
    assert!(sample(r#"callback="a",team="blue",x="a\"\\\n}"} 2"#), "{text}");
    assert!(sample(r#"callback="b",team="198",x=""} 1"#), "{text}");
    assert!(sample(r#"callback="b",team="other",x="other"} 801"#), "{text}");
    assert_eq!(text.lines().count(), 2 + 1 + 201);
}

#[test]
fn labels_are_checked_and_belong_to_the_name() {
    let all = Arc::new(PluginMetrics::default());
    let metrics = InstanceMetrics::new(&all, "c", &Arc::from("c"));
    let register = |name: &str, labels: &[&str]| {
        let made = metrics.register_labeled(MetricKind::Gauge, name, "", &[], labels);
        made.map_err(|error| error.kind)
    };
    let five = ["a", "b", "c", "d", "e"];
    for labels in
        [&[][..], &[""], &["callback"], &["le"], &["__x"], &["a b"], &["1"], &["a", "a"], &five]
    {
        assert_eq!(register("g", labels), Err(HostErrorKind::INVALID), "{labels:?}");
    }
    let id = register("g", &five[..4]).unwrap();
    assert_eq!(register("g", &five[..3]), Err(HostErrorKind::INVALID));
    let plain = metrics.register(MetricKind::Gauge, "g", "", &[]);
    assert_eq!(plain.unwrap_err().kind, HostErrorKind::INVALID);
    metrics.register(MetricKind::Gauge, "plain", "", &[]).unwrap();
    assert_eq!(register("plain", &["a"]), Err(HostErrorKind::INVALID));
    let long = "ü".repeat(100);
    let cut = "ü".repeat(64);
    let series = |value: &str| metrics.series(id, &[value, "", "", ""]);
    assert_eq!(series(&long), series(&cut));
    for index in 2..MAX_METRICS {
        register(&format!("g{index}"), &["a"]).unwrap();
    }
    assert_eq!(register("more", &["a"]), Err(HostErrorKind::FULL));
}

#[test]
fn a_histogram_with_labels_keeps_its_bounds() {
    let all = Arc::new(PluginMetrics::default());
    let metrics = InstanceMetrics::new(&all, "c", &Arc::from("c"));
    let id = metrics.register_labeled(MetricKind::Histogram, "h", "", &[1.0], &["m"]).unwrap();
    metrics.record(metrics.series(id, &["x"]).unwrap(), 0.5);
    let expected = "callgate_plugin_c_h_bucket{callback=\"c\",m=\"x\",le=\"1\"} 1\n";
    assert!(text(&all).contains(expected), "{}", text(&all));
}
