//! What `inspect` found, for people. Names and titles are the component's own, so they are escaped.

use std::path::Path;

use erp_plugin::Manifest;
use erp_plugin::manifest::EntityAccess;
use erp_plugin::schema::{EntitySchema, Field, FieldType};
use erp_plugin_package::Interface;

use super::{Inspected, contract};
use crate::exit;
use crate::output::{BAD, GOOD, HEADING, foreign, styled};
use crate::values::grouped;

pub(super) fn of(path: &Path, found: &Inspected) -> String {
    let Inspected { facts, manifest, refusal } = found;
    let mut text = Text::default();
    text.title(path, manifest.as_ref());
    text.pair("size", format!("{} bytes", grouped(facts.size as u64)));
    text.pair("sha256", &facts.sha256);
    text.pair("contract", contract(facts).unwrap_or_else(|| facts.contract().to_string()));
    match refusal {
        None => text.pair("this host", styled(GOOD, "takes it")),
        Some(refusal) => text.pair("this host", styled(BAD, format!("refuses it: {}", exit::line(refusal)))),
    }
    text.section("imports", facts.imports.iter().map(interface));
    text.section("exports", facts.exports.iter().map(interface));
    match manifest {
        Some(manifest) => text.manifest(manifest),
        None if refusal.is_none() => text.section(
            "no manifest",
            ["gets every event of its tenants but its own, and has dynamic entities only".to_owned()]
                .into_iter(),
        ),
        None => {}
    }
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0 += line;
        self.0.push('\n');
    }

    fn pair(&mut self, key: &str, value: impl std::fmt::Display) {
        self.line(&format!("  {key:10}{value}"));
    }

    fn section(&mut self, title: &str, lines: impl ExactSizeIterator<Item = String>) {
        if lines.len() == 0 {
            return;
        }
        self.line(&styled(HEADING, title));
        for line in lines {
            self.line(&format!("  {line}"));
        }
    }

    fn title(&mut self, path: &Path, manifest: Option<&Manifest>) {
        let Some(manifest) = manifest else {
            return self.line(&styled(HEADING, path.display()));
        };
        let Manifest { name, version, title, description, .. } = manifest;
        let title = title.en.as_deref().map(|title| format!(", {}", foreign(title))).unwrap_or_default();
        self.line(&styled(HEADING, format!("{name} {version}{title}")));
        if let Some(description) = description {
            self.line(&format!("  {}", foreign(description)));
        }
        self.pair("file", path.display());
    }

    fn manifest(&mut self, manifest: &Manifest) {
        let Manifest { capabilities, subscriptions, entities, config, limits, .. } = manifest;
        self.section(
            "gets events",
            subscriptions.iter().map(|own| match &own.key {
                Some(key) => format!("{} in the order of each {key}", own.pattern.as_str()),
                None => own.pattern.as_str().to_owned(),
            }),
        );
        let entity_access = capabilities.entities.iter().map(|(entity, access)| match access {
            EntityAccess::Read => format!("read {entity}"),
            EntityAccess::Write => format!("write {entity}"),
        });
        let publishes = capabilities.events_publish.iter().map(|event| format!("publish {}", event.as_str()));
        let reads =
            capabilities.system_config.iter().map(|key| format!("read the platform's {}", foreign(key)));
        let makes = capabilities.dynamic_entities.then(|| "make entities as it goes".to_owned());
        let asks: Vec<String> = entity_access.chain(publishes).chain(reads).chain(makes).collect();
        self.section("asks to", asks.into_iter());
        self.section(
            "configuration",
            config.iter().map(|(key, declared)| {
                let default =
                    declared.default.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
                let secret = if declared.secret { ", secret" } else { "" };
                foreign(&format!("{key}: {}{secret}{default}", declared.value_type.as_str()))
            }),
        );
        self.section(
            "limits",
            limits.iter().map(|(kind, value)| format!("{} {}", kind.row().name, kind.show(*value))),
        );
        for entity in entities {
            self.entity(entity);
        }
    }

    fn entity(&mut self, entity: &EntitySchema) {
        let fields = entity.fields();
        let width = fields.iter().map(|field| field.name.as_str().len()).max().unwrap_or_default();
        self.section(
            &format!("entity {}", entity.name),
            fields
                .iter()
                .map(|field| foreign(&format!("{:width$}  {}", field.name.as_str(), describe(field)))),
        );
    }
}

fn interface(interface: &Interface) -> String {
    foreign(&format!("{}  {}", interface.name, interface.functions.join(", ")))
}

/// A field's type and options, as its manifest has them.
fn describe(field: &Field) -> String {
    let mut text = match &field.field_type {
        FieldType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        FieldType::Enum { options } => format!("enum({})", options.join(", ")),
        FieldType::NumberSeries { pattern } => format!("number-series {}", pattern.as_str()),
        FieldType::Reference { target, .. } => format!("reference to {target}"),
        other => other.as_str().to_owned(),
    };
    if let Some(length) = field.max_length {
        text += &format!("({length})");
    }
    for (set, word) in [(field.required, "required"), (field.unique, "unique"), (field.indexed, "indexed")] {
        if set {
            text += &format!(", {word}");
        }
    }
    if let Some(pattern) = &field.pattern {
        text += &format!(", like {}", pattern.as_str());
    }
    for (verb, permission) in [("read", &field.read_permission), ("write", &field.write_permission)] {
        if let Some(permission) = permission {
            text += &format!(", {verb} with {permission}");
        }
    }
    text
}
