//! Every expression that the ledger's own code has, in the order of a slot's and a job's life: that the table takes them.

use aws_sdk_dynamodb::types::AttributeValue as V;

use super::words::{NAME, key, number, text};
use aws_sdk_dynamodb::operation::update_item::UpdateItemInput;
use simulator_table::Table;

/// Update, condition; the values that they name are numbers, or what stands here.
const SLOT: [(&str, &str); 10] = [
    (
        "SET runner = :runner, reserved_at = :now, since = :now, phase = :reserved, job = :purpose",
        "attribute_not_exists(pk)",
    ),
    (
        "SET phase = :creating, provider = :provider, vm_at = :at, leased_until = :until, step = :step, task = :task",
        "runner = :runner AND phase IN (:reserved, :creating)",
    ),
    ("SET leased_until = :until", "runner = :runner AND phase IN (:creating) AND leased_until < :later"),
    (
        "SET phase = :booting, since = reserved_at, runner_id = :id, jit_at = :now REMOVE made_at, step, task, leased_until",
        "runner = :runner AND phase IN (:creating) AND leased_until = :until",
    ),
    ("SET phase = :idle, made_at = since, since = :now", "runner = :runner AND phase IN (:booting)"),
    (
        "SET spare_since = :purpose REMOVE job",
        "runner = :runner AND phase IN (:idle, :booting) AND job = :was",
    ),
    (
        "SET phase = :busy, since = :now, displaced = if_not_exists(job, if_not_exists(displaced, :job)), job = :job \
         REMOVE spare_since, step, task, leased_until",
        "runner = :runner AND phase IN (:idle) AND (phase <> :busy OR attribute_exists(spare_since))",
    ),
    (
        "SET watched_until = :until",
        "runner = :runner AND phase IN (:busy) AND (attribute_not_exists(watched_until) OR watched_until < :now)",
    ),
    (
        "SET runner = :new, job = :purpose, reserved_at = :now, since = :now, phase = :reserved REMOVE provider, vm_at, \
         runner_id, step, task, leased_until, watched_until, displaced, spare_since",
        "runner = :runner AND phase = :busy AND job = :job AND (attribute_not_exists(displaced) OR displaced = job)",
    ),
    ("REMOVE watched_until", "runner = :new AND attribute_not_exists(watched_until)"),
];

const JOB: [(&str, &str); 4] = [
    (
        "SET #state = :state, #pool = :pool, repository = :repository, \
         queued_at = if_not_exists(queued_at, :queued_at), expires_at = :expires_at, \
         timeline = list_append(if_not_exists(timeline, :none), :lines), installation = :installation REMOVE slot",
        "attribute_not_exists(pk) OR #state = :held",
    ),
    ("SET timeline[23] = :line", "attribute_exists(pk)"),
    (
        "SET #state = :state, slot = :slot, timeline[23] = :line",
        "#state = :pool OR (#state = :state AND attribute_not_exists(slot))",
    ),
    (
        "SET #state = :state, #pool = :pool, timeline = list_append(if_not_exists(timeline, :none), :lines)",
        "attribute_not_exists(pk) OR #state <> :done",
    ),
];

const POOL: [(&str, &str); 6] = [
    ("SET #draining = :since", "attribute_not_exists(#draining)"),
    ("REMOVE #draining", "attribute_exists(#draining)"),
    (
        "SET #at = :at, #why = :why ADD #failures :one",
        "attribute_not_exists(#failures) OR attribute_type(#failures, :number)",
    ),
    (
        "SET #at = :at, #why = :why ADD #failures :one",
        "attribute_not_exists(#failures) OR attribute_type(#failures, :number)",
    ),
    ("REMOVE #failures, #at, #why", "attribute_exists(#failures)"),
    ("SET claims = :none, version = :version", "attribute_not_exists(version)"),
];

fn value(name: &str) -> V {
    match name {
        ":none" => V::L(vec![]),
        ":lines" => V::L(vec![text("a line")]),
        ":number" => text("N"),
        ":job" | ":purpose" | ":was" | ":one" | ":now" | ":until" => number(1),
        ":later" => number(2),
        _ => text(name.trim_start_matches(':')),
    }
}

fn names_in(text: &str, sign: char) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_#:".contains(c));
    words.filter(|word| word.starts_with(sign)).map(str::to_owned).collect()
}

fn input(pk: &str, (update, condition): (&str, &str)) -> UpdateItemInput {
    let both = format!("{update} {condition}");
    let input = UpdateItemInput::builder().table_name(NAME).set_key(Some(key(pk, "x")));
    let mut input = input.update_expression(update).condition_expression(condition);
    for name in names_in(&both, ':') {
        input = input.expression_attribute_values(&name, value(&name));
    }
    for name in names_in(&both, '#') {
        input = input.expression_attribute_names(&name, name.trim_start_matches('#'));
    }
    input.build().unwrap()
}

#[test]
fn the_ledgers_writes_are_made() {
    let mut table = Table::new(NAME);
    let lives = SLOT.map(|write| ("slot", write)).into_iter();
    let lives = lives.chain(JOB.map(|write| ("job", write))).chain(POOL.map(|write| ("pool", write)));
    for (pk, write) in lives {
        table.update(&input(pk, write)).unwrap_or_else(|error| panic!("{write:?}: {error:?}"));
    }
    let slot = table.get_item("slot", "x").unwrap();
    assert_eq!((&slot["runner"], &slot["phase"]), (&text("new"), &text("reserved")));
    assert_eq!((slot.get("displaced"), slot.get("spare_since")), (None, None));
    let job = table.get_item("job", "x").unwrap();
    assert_eq!(job["timeline"].as_l().unwrap().len(), 4);
    assert_eq!(table.get_item("pool", "x").unwrap().len(), 4);
}
