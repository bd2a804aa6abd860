//! What a job is told.

use serde::Deserialize;

/// The payload of the event `job.<name>`, as [`Event::json`](crate::Event::json) reads it. `P` is what somebody who asks for
/// a run may give it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct JobRun<P = serde_json::Value> {
    /// The moment for which the run was meant: RFC 3339 in UTC. What the run is about ends or begins here, however late it
    /// is called.
    pub scheduled_for: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// What came with a run that somebody asked for.
    #[serde(default = "none")]
    pub payload: Option<P>,
}

fn none<P>() -> Option<P> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    #[test]
    fn a_job_reads_what_it_is_told() {
        let plain = r#"{"scheduled_for":"2026-01-31T05:00:00Z","attempt":2}"#;
        let run: JobRun = Event::new("job.reorder", plain).json().unwrap();
        assert_eq!((run.scheduled_for.as_str(), run.attempt, run.payload), ("2026-01-31T05:00:00Z", 2, None));
        let given = r#"{"scheduled_for":"2026-01-31T05:00:00Z","attempt":1,"payload":[7]}"#;
        let run: JobRun<Vec<i64>> = Event::new("job.reorder", given).json().unwrap();
        assert_eq!(run.payload, Some(vec![7]));
        let error = Event::new("job.reorder", "{}").json::<JobRun>().unwrap_err();
        assert!(error.message.starts_with("payload of event job.reorder: missing field"), "{error}");
    }
}
