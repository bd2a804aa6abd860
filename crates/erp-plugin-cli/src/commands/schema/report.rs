//! Plans and ledgers, for people and for programs.

use std::fmt::Write as _;

use erp_plugin::evolution::{Archived, Class};
use erp_plugin::{FieldName, PlannedStep, SchemaPlan, SchemaStatus};
use serde_json::{Value as Json, json};

use crate::output::{BAD, FAINT, GOOD, HEADING, styled};
use crate::values::grouped;

pub(super) fn plan_text(plan: &SchemaPlan, file: &str) -> String {
    let from = plan.from.as_ref().map_or_else(|| "not installed".to_owned(), ToString::to_string);
    let mut text = format!("{}\n", styled(HEADING, format!("{} {from} → {}", plan.plugin, plan.to)));
    if plan.steps.is_empty() {
        text.push_str("the tables are as they must be\n");
    }
    let subjects = plan.steps.iter().map(|planned| planned.step.subject());
    let width = subjects.map(|subject| subject.len()).max().unwrap_or_default();
    for planned in &plan.steps {
        step_text(planned, width, &mut text);
    }
    let mut consent: Vec<String> = plan
        .steps
        .iter()
        .filter(|planned| planned.needs_consent())
        .map(|planned| format!(" --consent {}", planned.step.subject()))
        .collect();
    consent.dedup();
    if plan.steps.iter().any(PlannedStep::is_refused) {
        text.push_str("\nrecords are in the way: change them, and plan again\n");
    } else if !consent.is_empty() {
        let _ = write!(text, "\nto consent: erp-plugin schema apply {file}{}\n", consent.concat());
    }
    text
}

fn step_text(planned: &PlannedStep, width: usize, text: &mut String) {
    let step = &planned.step;
    let style = match (planned.is_refused(), step.class) {
        (true, _) | (_, Class::Destructive) => BAD,
        _ => GOOD,
    };
    let class = styled(style, format!("{:11}", step.class.as_str()));
    let _ = writeln!(text, "\n{class}  {:width$}  {step}", step.subject());
    if step.before.is_some() {
        let _ = writeln!(text, "             {} records", grouped(planned.records));
    }
    for found in &planned.found {
        let verb = if planned.is_refused() { "do not fit" } else { "lose something" };
        let _ = writeln!(text, "             {} in {} {verb}:", grouped(found.count), found.tenant);
        for offence in &found.sample {
            let reason = crate::output::foreign(&offence.reason);
            let _ = writeln!(text, "               {} {reason}", offence.id);
        }
        let more = found.count.saturating_sub(found.sample.len() as u64);
        if more > 0 {
            let _ = writeln!(text, "               and {} more", grouped(more));
        }
    }
    for statement in &planned.statements {
        let _ = writeln!(text, "             {}", styled(FAINT, crate::output::foreign(statement)));
    }
}

pub(super) fn plan_json(plan: &SchemaPlan) -> Json {
    let steps: Vec<Json> = plan.steps.iter().map(step_json).collect();
    json!({
        "plugin": plan.plugin.as_str(),
        "from": plan.from.as_ref().map(ToString::to_string),
        "to": plan.to.to_string(),
        "steps": steps,
    })
}

fn step_json(planned: &PlannedStep) -> Json {
    let step = &planned.step;
    let (before, after) = step.fields();
    let found: Vec<Json> = planned
        .found
        .iter()
        .map(|found| {
            let records: Vec<Json> = found
                .sample
                .iter()
                .map(|offence| json!({ "id": offence.id.to_string(), "reason": offence.reason }))
                .collect();
            json!({ "tenant": found.tenant.as_str(), "count": found.count, "records": records })
        })
        .collect();
    json!({
        "entity": step.entity.to_string(),
        "field": step.field().map(FieldName::as_str),
        "change": step.to_string(),
        "from": before.map(|field| field.field_type.as_str()),
        "to": after.map(|field| field.field_type.as_str()),
        "class": step.class.as_str(),
        "records": planned.records,
        "refused": planned.is_refused(),
        "found": found,
        "consent": planned.needs_consent().then(|| format!("--consent {}", step.subject())),
        "statements": planned.statements,
    })
}

pub(super) fn status_text(status: &SchemaStatus) -> String {
    let at = if status.is_current {
        "its tables are as it declares them"
    } else {
        "its tables are not as it declares them"
    };
    let heading = styled(HEADING, format!("{} {}", status.plugin, status.version));
    let mut text = format!("{heading}: {at}\n");
    for schema in &status.entities {
        let kind = if schema.is_dynamic() {
            "documents".to_owned()
        } else {
            format!("{} fields", schema.fields().len())
        };
        let _ = writeln!(text, "  {}  {kind}", schema.name);
        for field in schema.fields().iter().filter(|field| field.column.is_some()) {
            let _ = writeln!(text, "    {} is in the column {}", field.name, field.column());
        }
    }
    for archived in &status.archived {
        let _ = writeln!(text, "  put aside: {}", archived_text(archived));
    }
    text
}

pub(super) fn status_json(status: &SchemaStatus) -> Json {
    let entities: Vec<Json> = status
        .entities
        .iter()
        .map(|schema| {
            let fields: serde_json::Map<String, Json> = schema
                .fields()
                .iter()
                .map(|field| {
                    let about = json!({ "type": field.field_type.as_str(), "column": field.column() });
                    (field.name.to_string(), about)
                })
                .collect();
            json!({ "entity": schema.name.to_string(), "dynamic": schema.is_dynamic(), "fields": fields })
        })
        .collect();
    let archived: Vec<Json> = status.archived.iter().map(archived_json).collect();
    json!({
        "plugin": status.plugin.as_str(),
        "version": status.version.to_string(),
        "current": status.is_current,
        "entities": entities,
        "archived": archived,
    })
}

pub(crate) fn archived_text(archived: &Archived) -> String {
    let version = archived.version.as_ref().map_or_else(String::new, |version| format!(", of {version}"));
    match &archived.field {
        Some(field) => format!("{}.{field}, as the column {}{version}", archived.entity, archived.kept_as),
        None => format!("{}, as {}{version}", archived.entity, archived.kept_as),
    }
}

pub(crate) fn archived_json(archived: &Archived) -> Json {
    json!({
        "entity": archived.entity.to_string(),
        "field": archived.field.as_ref().map(FieldName::as_str),
        "kept_as": archived.kept_as,
        "version": archived.version.as_ref().map(ToString::to_string),
    })
}
