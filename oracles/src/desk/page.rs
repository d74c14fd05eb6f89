//! The desk's pages.

use contracts::catalogue::Unit;
use maud::{Markup, html};

use super::Entry;
use super::config::{DeskConfig, FormConfig};
use super::form::Filled;
use crate::pages::{Fault, field, shell, summary};
use crate::sources::Conversion;

fn page(desk: &DeskConfig, title: &str, failed: bool, body: &Markup) -> String {
    shell(&desk.name, title, failed, body)
}

pub(super) fn index(desk: &DeskConfig) -> String {
    let body = html! {
        p { "Choose what to enter. You need your desk key to sign it." }
        ul {
            @for form in &desk.form {
                li { a href={ "/form/" (form.attribute) } { (form.title()) } }
            }
        }
    };
    page(desk, "Entries", false, &body)
}

pub(super) fn not_found(desk: &DeskConfig) -> String {
    let body = html! { p { "There is no such form. " a href="/" { "See all forms" } "." } };
    page(desk, "Not found", true, &body)
}

pub(super) fn failed(desk: &DeskConfig) -> String {
    let body = html! { p { "Nothing was entered, because of a fault here. Send the form again: it makes one entry at most." } };
    page(desk, "Out of order", true, &body)
}

fn value_hint(form: &FormConfig) -> &'static str {
    match (form.conversion(), form.entry().map(|entry| entry.unit)) {
        (Conversion::State, _) => "Two letters, such as CA.",
        (Conversion::Dollars, _) => "Dollars and cents, such as 612.37.",
        (Conversion::Date, _) => "Year-month-day, such as 1992-02-29.",
        (Conversion::Flag, _) => "1 for yes, 0 for no.",
        (_, Some(Unit::Count)) => "A whole number.",
        _ => "As the record has it.",
    }
}

/// The form, empty or as it was sent with its faults.
pub(super) fn form(
    desk: &DeskConfig,
    form: &FormConfig,
    filled: &Filled,
    faults: &[Fault],
) -> String {
    let text = |name: &'static str, value: &str, kind: &str| {
        let value = value.to_owned();
        let kind = kind.to_owned();
        move |described: &str| {
            html! { input id=(name) name=(name) type=(kind) value=(value) maxlength="128" autocomplete="off" aria-describedby=(described); }
        }
    };
    let kinds = [
        (
            "observation",
            "Something seen, measured or shown",
            !form.roles.is_empty(),
        ),
        (
            "review",
            "The outcome of a review of a disputed fact",
            !form.review_roles.is_empty(),
        ),
    ];
    let body = html! {
        (summary(faults))
        form method="post" action={ "/form/" (form.attribute) } novalidate {
            input type="hidden" name="once" value=(filled.once);
            fieldset id="kind" {
                legend { "What is this entry?" }
                @for (kind, label, _) in kinds.iter().filter(|(_, _, offered)| *offered) {
                    div {
                        input type="radio" id={ "kind-" (kind) } name="kind" value=(kind) checked[filled.kind == *kind];
                        label for={ "kind-" (kind) } { (label) }
                    }
                }
            }
            (field(faults, "key_value", &form.key_label, "Whose record it is.", text("key_value", &filled.key_value, "text")))
            (field(faults, "value", form.title(), value_hint(form), text("value", &filled.value, "text")))
            div class="field" {
                input type="checkbox" id="withdraw" name="withdraw" value="yes" checked[!filled.withdraw.is_empty()];
                label for="withdraw" { "Withdraw what was entered for that day; nothing takes its place" }
            }
            (field(faults, "observed", "Day", "The day it was seen or measured, or that a review speaks of.", text("observed", &filled.observed, "date")))
            button type="submit" { "Check" }
        }
    };
    page(desk, form.title(), !faults.is_empty(), &body)
}

/// What will be signed, and the field for the key.
pub(super) fn confirm(
    desk: &DeskConfig,
    form: &FormConfig,
    filled: &Filled,
    faults: &[Fault],
) -> String {
    let value = match filled.withdraw.as_str() {
        "" => filled.value.as_str(),
        _ => "withdrawn",
    };
    let hidden = [
        ("once", &filled.once),
        ("kind", &filled.kind),
        ("key_value", &filled.key_value),
        ("value", &filled.value),
        ("withdraw", &filled.withdraw),
        ("observed", &filled.observed),
    ];
    let body = html! {
        (summary(faults))
        p { "Nothing is entered yet. Check it, then sign it with your key." }
        dl {
            dt { "Entry" } dd { (filled.kind) }
            dt { (form.key_label) } dd { (filled.key_value) }
            dt { (form.title()) } dd { (value) }
            dt { "Day" } dd { (filled.observed) }
        }
        form method="post" action={ "/form/" (form.attribute) "/sign" } novalidate {
            @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
            (field(faults, "staff_key", "Your desk key", "It is used once and not kept here.", |described| html! {
                input id="staff_key" name="staff_key" type="password" maxlength="128" autocomplete="current-password" aria-describedby=(described);
            }))
            button type="submit" { "Sign and enter" }
        }
        p { a href={ "/form/" (form.attribute) } { "Start again" } }
    };
    page(desk, "Check and sign", !faults.is_empty(), &body)
}

pub(super) fn entered(desk: &DeskConfig, form: &FormConfig, entry: &Entry) -> String {
    let body = html! {
        p role="status" { "Entered as number " (entry.statement.number) ", signed as " (entry.statement.role) "." }
        p { "To correct it, enter the same day again; the later entry counts." }
        p { a href={ "/form/" (form.attribute) } { "Enter another" } " · " a href="/" { "All forms" } }
    };
    page(desk, "Entered", false, &body)
}
