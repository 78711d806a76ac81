//! The place of a run in a trace. LangSmith refuses a whole batch if the ids of one run do not
//! agree. A client's ids are therefore used only if they agree; otherwise the run is a root. The
//! run's own id is never the client's, because LangSmith would refuse an id that it already knows,
//! together with other runs of the batch.

use std::time::Duration;
use uuid::Uuid;

/// The ids in a client's `metadata`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RequestedIds<'a> {
    pub(crate) run_id: Option<&'a str>,
    pub(crate) parent_run_id: Option<&'a str>,
    pub(crate) trace_id: Option<&'a str>,
    pub(crate) dotted_order: Option<&'a str>,
}

/// The ids that place a run in a trace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) id: String,
    pub(crate) trace_id: String,
    pub(crate) parent_run_id: Option<String>,
    pub(crate) dotted_order: String,
}

impl Ids {
    pub(crate) fn new(id: Uuid, asked: RequestedIds<'_>, started: Duration) -> Self {
        let uuid = |text: Option<&str>| Uuid::try_parse(text?).ok().map(|id| id.to_string());
        let id = id.to_string();
        let place = uuid(asked.parent_run_id).zip(uuid(asked.trace_id));
        if let Some((parent, trace_id)) = place
            && let Some(own) = uuid(asked.run_id)
            && let Some(order) = asked.dotted_order
            && is_child(order, &own, &parent, &trace_id)
            && let Some((above, _)) = order.rsplit_once('.')
        {
            let dotted_order = format!("{above}.{}{id}", stamp(started));
            return Self { id, trace_id, parent_run_id: Some(parent), dotted_order };
        }
        let dotted_order = format!("{}{id}", stamp(started));
        Self { trace_id: id.clone(), id, parent_run_id: None, dotted_order }
    }
}

/// Returns whether a dotted order leads from the trace's root through the parent to this run.
fn is_child(order: &str, id: &str, parent: &str, trace_id: &str) -> bool {
    let parts: Vec<_> = order.split('.').map(|part| part.split_once('Z')).collect();
    let time = |time: &str| {
        let legal =
            |(at, byte): (usize, u8)| if at == 8 { byte == b'T' } else { byte.is_ascii_digit() };
        time.len() == 21 && time.bytes().enumerate().all(legal)
    };
    let well_formed = parts
        .iter()
        .all(|part| part.is_some_and(|(at, id)| time(at) && Uuid::try_parse(id).is_ok()));
    let names = |index: usize, id: &str| {
        parts.get(index).copied().flatten().is_some_and(|(_, found)| found == id)
    };
    let last = parts.len() - 1;
    well_formed && last > 0 && names(0, trace_id) && names(last, id) && names(last - 1, parent)
}

/// Formats a time since 1970 as `20261122T082945283720Z`.
fn stamp(since: Duration) -> String {
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}{:06}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_micros()
    )
}

/// Returns the date of a day since 1970. It computes with years that begin in March, so that the
/// leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "11111111-1111-4111-8111-111111111111";
    const B: &str = "22222222-2222-4222-8222-222222222222";
    const C: &str = "33333333-3333-4333-8333-333333333333";
    const OWN: &str = "44444444-4444-4444-8444-444444444444";
    const STARTED: Duration = Duration::from_micros(1_795_336_185_283_720);

    #[test]
    fn a_root_is_its_own_trace() {
        let asked = RequestedIds { run_id: Some(A), ..RequestedIds::default() };
        let ids = Ids::new(own(), asked, STARTED);
        assert_eq!((ids.id.as_str(), ids.trace_id.as_str()), (OWN, OWN), "not the client's id");
        assert_eq!(ids.dotted_order, format!("20261122T082945283720Z{OWN}"));
        let asked =
            RequestedIds { run_id: Some("x"), trace_id: Some(B), ..RequestedIds::default() };
        let ids = Ids::new(own(), asked, STARTED);
        assert_eq!(ids.id, ids.trace_id, "a foreign trace without a parent is not used");
    }

    fn own() -> Uuid {
        Uuid::try_parse(OWN).unwrap()
    }

    fn asked(order: Option<&str>) -> RequestedIds<'_> {
        RequestedIds {
            run_id: Some(C),
            parent_run_id: Some(B),
            trace_id: Some(A),
            dotted_order: order,
        }
    }

    #[test]
    fn a_child_is_one_only_when_all_agrees() {
        let at = "20261122T082945283720Z";
        let whole = format!("{at}{A}.{at}{B}.{at}{C}");
        let ids = Ids::new(own(), asked(Some(&whole)), STARTED);
        assert_eq!(ids.dotted_order, format!("{at}{A}.{at}{B}.{at}{OWN}"));
        assert_eq!((ids.parent_run_id.as_deref(), ids.trace_id.as_str()), (Some(B), A));
        for order in [
            None,
            Some(format!("{at}{A}.{at}{C}")),
            Some(format!("{at}{B}.{at}{B}.{at}{C}")),
            Some(format!("{at}{A}.{at}{B}")),
            Some(format!("{at}{A}.{at}{B}.x{C}")),
            Some(String::new()),
            Some("Z.Z.Z".to_owned()),
        ] {
            let ids = Ids::new(own(), asked(order.as_deref()), STARTED);
            assert_eq!((ids.parent_run_id, &ids.trace_id), (None, &ids.id), "{order:?}");
        }
    }
}
