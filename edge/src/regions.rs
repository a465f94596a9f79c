//! Which replica is nearest to the region in which the function runs.

use std::cmp::Ordering;

/// Where each AWS region is: its name, and latitude and longitude in degrees of the city that AWS names
/// for it ([list of regions](https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html)).
const REGIONS: [(&str, f64, f64); 39] = [
    ("af-south-1", -33.92, 18.42),
    ("ap-east-1", 22.32, 114.17),
    ("ap-east-2", 25.03, 121.57),
    ("ap-northeast-1", 35.68, 139.69),
    ("ap-northeast-2", 37.57, 126.98),
    ("ap-northeast-3", 34.69, 135.50),
    ("ap-south-1", 19.08, 72.88),
    ("ap-south-2", 17.39, 78.49),
    ("ap-southeast-1", 1.35, 103.82),
    ("ap-southeast-2", -33.87, 151.21),
    ("ap-southeast-3", -6.21, 106.85),
    ("ap-southeast-4", -37.81, 144.96),
    ("ap-southeast-5", 3.15, 101.69),
    ("ap-southeast-6", -36.85, 174.76),
    ("ap-southeast-7", 13.76, 100.50),
    ("ca-central-1", 45.50, -73.57),
    ("ca-west-1", 51.05, -114.07),
    ("cn-north-1", 39.90, 116.41),
    ("cn-northwest-1", 37.51, 105.19),
    ("eu-central-1", 50.11, 8.68),
    ("eu-central-2", 47.38, 8.54),
    ("eu-north-1", 59.33, 18.07),
    ("eu-south-1", 45.46, 9.19),
    ("eu-south-2", 41.65, -0.89),
    ("eu-west-1", 53.35, -6.26),
    ("eu-west-2", 51.51, -0.13),
    ("eu-west-3", 48.86, 2.35),
    ("eusc-de-east-1", 52.41, 12.53),
    ("il-central-1", 32.09, 34.78),
    ("me-central-1", 24.45, 54.38),
    ("me-south-1", 26.07, 50.56),
    ("mx-central-1", 20.59, -100.39),
    ("sa-east-1", -23.55, -46.63),
    ("us-east-1", 38.95, -77.45),
    ("us-east-2", 39.96, -83.00),
    ("us-gov-east-1", 39.96, -83.00),
    ("us-gov-west-1", 45.84, -119.70),
    ("us-west-1", 37.35, -121.96),
    ("us-west-2", 45.84, -119.70),
];

/// Whether a name is that of an AWS region that this release knows.
pub fn is_known_region(region: &str) -> bool {
    REGIONS.iter().any(|(name, ..)| *name == region)
}

/// Sorts replicas by great-circle distance from `region`, nearest first; `region_of` names a replica's region.
///
/// A region that this release does not know counts as farther away than any other. If it does not know
/// the function's own region, the order stays as given.
pub fn nearest_first<T>(region: &str, replicas: &mut [T], region_of: impl Fn(&T) -> &str) {
    let distance = |replica: &T| distance_radians(region, region_of(replica)).unwrap_or(f64::INFINITY);
    replicas.sort_by(|a, b| distance(a).partial_cmp(&distance(b)).unwrap_or(Ordering::Equal));
}

/// The haversine formula. The result is an angle: comparing distances does not need the Earth's radius.
fn distance_radians(from: &str, to: &str) -> Option<f64> {
    let place = |region| REGIONS.iter().find(|(name, ..)| *name == region);
    let (&(_, from_latitude, from_longitude), &(_, to_latitude, to_longitude)) = (place(from)?, place(to)?);
    let half_chord = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
    let haversine = half_chord(from_latitude, to_latitude)
        + from_latitude.to_radians().cos() * to_latitude.to_radians().cos() * half_chord(from_longitude, to_longitude);
    Some(2.0 * haversine.sqrt().asin())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest<'a>(region: &str, mut replicas: Vec<&'a str>) -> Vec<&'a str> {
        nearest_first(region, &mut replicas, |replica| replica);
        replicas
    }

    #[test]
    fn replicas_come_in_order_of_distance() {
        let replicas = vec!["us-east-1", "eu-west-1", "ap-southeast-1"];
        assert_eq!(nearest("eu-central-1", replicas.clone()), ["eu-west-1", "us-east-1", "ap-southeast-1"]);
        assert_eq!(nearest("ap-northeast-1", replicas.clone()), ["ap-southeast-1", "eu-west-1", "us-east-1"]);
        assert_eq!(nearest("sa-east-1", replicas.clone()), ["us-east-1", "eu-west-1", "ap-southeast-1"]);
        // The article compares prefixes of names and sends the Gulf to Virginia, twice as far as Ireland.
        assert_eq!(nearest("me-south-1", replicas.clone())[2], "us-east-1");
        assert_eq!(nearest("us-west-2", replicas)[0], "us-east-1");
    }

    #[test]
    fn distance_crosses_the_date_line() {
        let from_auckland = nearest("ap-southeast-6", vec!["us-west-1", "af-south-1", "ap-southeast-2"]);
        assert_eq!(from_auckland, ["ap-southeast-2", "us-west-1", "af-south-1"]);
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        let kilometres = distance_radians("us-east-1", "eu-west-1").expect("both are in the table") * 6371.0;
        assert!((5400.0..5600.0).contains(&kilometres), "Virginia to Dublin: {kilometres}");
    }

    #[test]
    fn an_unknown_region_keeps_the_order_given() {
        assert_eq!(nearest("xx-new-9", vec!["eu-west-1", "us-east-1"]), ["eu-west-1", "us-east-1"]);
        assert_eq!(nearest("us-east-1", vec!["xx-new-9", "us-east-1"]), ["us-east-1", "xx-new-9"]);
    }

    #[test]
    fn every_region_is_nearest_to_itself_and_named_once() {
        let names: Vec<&str> = REGIONS.iter().map(|(name, ..)| *name).collect();
        let mut unique = names.clone();
        unique.dedup();
        assert_eq!(unique, names, "sorted, none twice");
        for name in &names {
            assert_eq!(distance_radians(name, nearest(name, names.clone())[0]), Some(0.0), "{name}");
        }
    }
}
