//! Charts as SVG, readable on a light and on a dark page.

use std::fmt::{self, Write};

const WIDTH: f64 = 720.0;
const INK: &str = "#6e7781";
const COLOURS: [&str; 3] = ["#1f78b4", "#e6813a", "#3a9e58"];

/// One bar each.
pub fn bars(title: &str, unit: &str, values: &[(&str, f64)]) -> String {
    const LEFT: f64 = 250.0;
    const ROW: f64 = 34.0;
    let most = values.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let height = 50.0 + ROW * values.len() as f64;
    svg(title, height, |out| {
        for (row, (name, value)) in values.iter().enumerate() {
            let (top, long) = (44.0 + ROW * row as f64, value / most * (WIDTH - LEFT - 110.0));
            let colour = COLOURS[row % COLOURS.len()];
            text(out, LEFT - 10.0, top + 15.0, "end", name)?;
            writeln!(out, r#"<rect x="{LEFT}" y="{top}" width="{long:.1}" height="22" fill="{colour}"/>"#)?;
            text(out, LEFT + long + 8.0, top + 15.0, "start", &format!("{value:.1} {unit}"))?;
        }
        Ok(())
    })
}

/// What is drawn along an axis.
pub struct Axis<'a> {
    pub name: &'a str,
    pub marks: Vec<(f64, String)>,
    pub from: f64,
    pub to: f64,
}

impl Axis<'_> {
    fn share(&self, value: f64) -> f64 {
        (value - self.from) / (self.to - self.from)
    }
}

/// One line each, with its name.
pub fn lines(title: &str, x: &Axis, y: &Axis, series: &[(&str, Vec<(f64, f64)>)]) -> String {
    let (left, top, right, bottom) = (70.0, 44.0, 700.0, 300.0);
    let at_x = |value: f64| left + x.share(value) * (right - left);
    let at_y = |value: f64| bottom - y.share(value) * (bottom - top);
    svg(title, 390.0, |out| {
        for (value, name) in &y.marks {
            let at = at_y(*value);
            writeln!(out, r#"<path d="M{left} {at:.1}H{right}" stroke="{INK}" stroke-opacity="0.25"/>"#)?;
            text(out, left - 8.0, at + 4.0, "end", name)?;
        }
        for (value, name) in &x.marks {
            text(out, at_x(*value), bottom + 18.0, "middle", name)?;
        }
        text(out, right, bottom + 38.0, "end", x.name)?;
        text(out, 10.0, top - 10.0, "start", y.name)?;
        for (number, (name, points)) in series.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let points: Vec<String> =
                points.iter().map(|(a, b)| format!("{:.1},{:.1}", at_x(*a), at_y(*b))).collect();
            let points = points.join(" ");
            writeln!(out, r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>"#)?;
            let (key, low) = (left + 210.0 * number as f64, bottom + 66.0);
            writeln!(out, r#"<rect x="{key}" y="{:.1}" width="14" height="4" fill="{colour}"/>"#, low - 6.0)?;
            text(out, key + 20.0, low, "start", name)?;
        }
        Ok(())
    })
}

fn svg(title: &str, height: f64, draw: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let (mut out, title) = (String::new(), escaped(title));
    // Writing to a text cannot fail.
    _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13" role="img">
<title>{title}</title>
<text x="10" y="20" font-size="15" font-weight="bold" fill="{INK}">{title}</text>"#
    );
    _ = draw(&mut out);
    out.push_str("</svg>\n");
    out
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) -> fmt::Result {
    let text = escaped(text);
    writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{INK}">{text}</text>"#)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values() {
        let chart = bars("a < b", "ms", &[("hello", 5.0), ("webhook", 10.0)]);
        assert!(chart.contains(r#"width="180.0""#) && chart.contains(r#"width="360.0""#), "{chart}");
        assert!(chart.contains("10.0 ms") && chart.contains("a &lt; b"), "{chart}");
    }

    #[test]
    fn lines_go_from_corner_to_corner() {
        let axis = |name| Axis { name, marks: Vec::new(), from: 0.0, to: 2.0 };
        let chart = lines("a", &axis("x"), &axis("y"), &[("one", vec![(0.0, 0.0), (2.0, 2.0)])]);
        assert!(chart.contains(r#"points="70.0,300.0 700.0,44.0""#), "{chart}");
    }
}
