use super::*;

#[test]
fn the_metric_of_an_accelerator() {
    for (gpu_type, spot, expected) in [
        ("nvidia-tesla-t4", false, Some("NVIDIA_T4_GPUS")),
        ("nvidia-tesla-t4", true, Some("PREEMPTIBLE_NVIDIA_T4_GPUS")),
        ("nvidia-tesla-t4-vws", false, Some("NVIDIA_T4_VWS_GPUS")),
        ("nvidia-tesla-p4", false, Some("NVIDIA_P4_GPUS")),
        ("nvidia-tesla-p100", false, Some("NVIDIA_P100_GPUS")),
        ("nvidia-tesla-v100", false, Some("NVIDIA_V100_GPUS")),
        ("nvidia-tesla-k80", false, Some("NVIDIA_K80_GPUS")),
        ("nvidia-tesla-a100", false, Some("NVIDIA_A100_GPUS")),
        ("nvidia-a100-80gb", true, Some("PREEMPTIBLE_NVIDIA_A100_80GB_GPUS")),
        ("nvidia-l4", false, Some("NVIDIA_L4_GPUS")),
        ("nvidia-h100-80gb", true, Some("PREEMPTIBLE_NVIDIA_H100_GPUS")),
        ("ct5lp", false, None),
        ("nvidia-", false, None),
        ("nvidia-../x", false, None),
    ] {
        assert_eq!(metric(gpu_type, spot).as_deref(), expected, "{gpu_type}");
    }
}

fn zones(names: &[&str]) -> Vec<Zone> {
    names.iter().map(|name| Zone::new(*name).unwrap()).collect()
}

fn readings(free: &[(&str, f64)]) -> BTreeMap<String, Reading> {
    let reading = |limit| Reading { asked_at: Instant::now(), limit, usage: 0.0 };
    free.iter().map(|(region, free)| ((*region).to_owned(), reading(*free))).collect()
}

#[test]
fn each_create_sees_the_ones_before_it() {
    let ledger = Ledger::default();
    let zones = zones(&["us-east1-c", "us-central1-a"]);
    let known = readings(&[("us-east1", 3.0), ("us-central1", 2.0)]);
    let demand = Demand { metric: "NVIDIA_T4_GPUS".to_owned(), gpus: 1.0 };
    let mut held = Vec::new();
    let mut chosen = Vec::new();
    for _ in 0..6 {
        let (order, reservation) = ledger.choose(&zones, &known, &demand);
        chosen.push(order.first().map(|zone| zone.region().to_owned()));
        held.extend(reservation);
    }
    let chosen: Vec<&str> = chosen.iter().map(|region| region.as_deref().unwrap_or("none")).collect();
    // East 3 · 2=2, the user's order · central 2>1 · 1=1, the user's order · central · nothing left.
    assert_eq!(chosen, ["us-east1", "us-east1", "us-central1", "us-east1", "us-central1", "none"]);
    held.clear();
    assert_eq!(ledger.choose(&zones, &known, &demand).0.len(), 2, "what was not accepted is given back");
}

#[test]
fn a_reading_counts_what_was_accepted_before_it() {
    let ledger = Ledger::default();
    let zones = zones(&["us-east1-c"]);
    let demand = Demand { metric: "NVIDIA_T4_GPUS".to_owned(), gpus: 1.0 };
    let old = readings(&[("us-east1", 1.0)]);
    let (_, reservation) = ledger.choose(&zones, &old, &demand);
    let mut reservation = reservation.unwrap();
    reservation.accepted();
    assert!(ledger.choose(&zones, &old, &demand).0.is_empty(), "the old reading does not count it");
    let new = readings(&[("us-east1", 1.0)]);
    assert_eq!(ledger.choose(&zones, &new, &demand).0, zones, "the new one does");
    reservation.failed();
    assert_eq!(ledger.choose(&zones, &old, &demand).0, zones, "a failed operation gives it back");
}

#[test]
fn quotas_are_read_by_metric() {
    let region = serde_json::from_value(serde_json::json!({ "quotas": [
        { "metric": "NVIDIA_T4_GPUS", "limit": 8.0, "usage": 3.0 },
        { "metric": "A_METRIC_OF_TOMORROW", "limit": 1.0, "usage": 0.0 }, { "limit": 5.0 },
    ] }));
    let quotas = read(region.unwrap());
    assert_eq!(quotas.get("NVIDIA_T4_GPUS"), Some(&(8.0, 3.0)));
    assert_eq!(quotas.len(), 2);
}
