//! A figure of a measure as a chart: bars, one group for each load, one colour for each contender.

use super::{Chart, Figure, Measure, Row};

/// Sizes in pixels.
const WIDTH: f64 = 760.0;
const LABELS: f64 = 190.0;
const NUMBERS: f64 = 110.0;
const BAR: f64 = 18.0;
const GAP: f64 = 14.0;
const HEAD: f64 = 64.0;

/// Tells colours apart also for those who see few of them (Okabe and Ito's).
const COLOURS: [&str; 6] = ["#0072b2", "#56b4e9", "#e69f00", "#d55e00", "#009e73", "#999999"];
/// Beyond this ratio of the largest to the smallest bar, lengths are logarithms.
const LINEAR_UP_TO: f64 = 50.0;

/// The chart in SVG.
pub(crate) fn draw(measure: &Measure, chart: &Chart) -> String {
    let bars = bars(measure, chart);
    let loads = in_order(bars.iter().map(|(row, _)| &*row.load));
    let contenders = in_order(bars.iter().map(|(row, _)| &*row.who));
    let scale = Scale::of(bars.iter().map(|(_, figure)| figure.value));
    let mut body = String::new();
    let mut y = HEAD;
    for load in &loads {
        body += &text(8.0, y + BAR * 0.75, "600", load);
        for (row, figure) in bars.iter().filter(|(row, _)| row.load == *load) {
            let colour = COLOURS
                [contenders.iter().position(|who| *who == row.who).unwrap_or_default() % COLOURS.len()];
            let length = scale.length(figure.value);
            body += &format!(
                "<rect x=\"{LABELS}\" y=\"{y}\" width=\"{length:.1}\" height=\"{:.1}\" rx=\"2\" fill=\"{colour}\"/>\n",
                BAR - 3.0,
            );
            body += &text(LABELS + length + 6.0, y + BAR * 0.7, "400", &figure.text());
            y += BAR;
        }
        y += GAP;
    }
    let title = format!("{}: {}{}", measure.title, chart.title, scale.remark());
    frame(y, &title, &legend(&contenders), &body)
}

fn frame(height: f64, title: &str, legend: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
        font-family=\"system-ui, sans-serif\" font-size=\"12\" role=\"img\">\n<title>{0}</title>\n\
        <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n{1}{legend}{body}</svg>\n",
        escaped(title),
        text(8.0, 22.0, "600", title),
    )
}

fn legend(contenders: &[&str]) -> String {
    let mut x = 8.0;
    let mut legend = String::new();
    for (contender, colour) in contenders.iter().zip(COLOURS.iter().cycle()) {
        legend +=
            &format!("<rect x=\"{x}\" y=\"36\" width=\"11\" height=\"11\" rx=\"2\" fill=\"{colour}\"/>\n");
        legend += &text(x + 16.0, 46.0, "400", contender);
        x += 34.0 + contender.chars().count() as f64 * 7.0;
    }
    legend
}

fn text(x: f64, y: f64, weight: &str, text: &str) -> String {
    let text = escaped(text);
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" font-weight=\"{weight}\" fill=\"#1f2328\">{text}</text>\n")
}

/// The rows that have the figure.
fn bars<'a>(measure: &'a Measure, chart: &Chart) -> Vec<(&'a Row, &'a Figure)> {
    let has = |row: &'a Row| Some((row, row.figures.iter().find(|figure| figure.name == chart.figure)?));
    measure.rows.iter().filter_map(has).collect()
}

/// Each name once, in the order in which they come.
fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut order = Vec::new();
    for name in names {
        if !order.contains(&name) {
            order.push(name);
        }
    }
    order
}

/// From a value to the length of its bar.
struct Scale {
    least: f64,
    most: f64,
    is_logarithmic: bool,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>) -> Scale {
        let (least, most) = values.fold((f64::MAX, 0.0), |(least, most): (f64, f64), value| {
            (if value > 0.0 { least.min(value) } else { least }, most.max(value))
        });
        Scale { least, most, is_logarithmic: most / least > LINEAR_UP_TO }
    }

    fn length(&self, value: f64) -> f64 {
        let longest = WIDTH - LABELS - NUMBERS;
        let share = match self.is_logarithmic {
            _ if value <= 0.0 => 0.0,
            // The smallest bar is still to be seen.
            true => (value / self.least * 2.0).ln() / (self.most / self.least * 2.0).ln(),
            false => value / self.most,
        };
        share * longest
    }

    fn remark(&self) -> &'static str {
        if self.is_logarithmic { " (logarithmic)" } else { "" }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::example;

    #[test]
    fn a_chart_is_well_formed_and_says_when_it_is_logarithmic() {
        let mut measure = example();
        let svg = draw(&measure, &measure.charts[0]);
        assert!(
            svg.contains("(logarithmic)") && svg.contains("1,234/s") && svg.contains("a &amp; b"),
            "{svg}"
        );
        assert_eq!(svg.matches("<rect").count(), 1 + 2 + 2, "background, legend, bars: {svg}");
        // What is not markup is escaped.
        let texts =
            svg.split('>').filter_map(|part| part.split_once('<')).map(|(text, _)| text).collect::<String>();
        assert!(texts.contains("Rates &lt;&amp;&gt;") && !texts.contains('"'), "{texts}");

        measure.rows[1].figures[0].value = 600.0;
        assert!(!draw(&measure, &measure.charts[0]).contains("(logarithmic)"));
    }

    #[test]
    fn bars_are_as_long_as_their_values_tell() {
        let scale = Scale::of([10.0, 40.0].into_iter());
        assert!((scale.length(40.0) - 4.0 * scale.length(10.0)).abs() < 1e-9);
        let scale = Scale::of([1.0, 1000.0].into_iter());
        assert!(scale.length(1.0) > 0.0 && scale.length(1000.0) > scale.length(100.0));
        assert_eq!(scale.length(0.0), 0.0);
    }
}
