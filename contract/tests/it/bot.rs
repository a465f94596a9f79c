use stickshift_contract::is_bot;

#[test]
fn crawlers_and_monitors_are_known() {
    for agent in [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "ELB-HealthChecker/2.0",
        "Amazon-Route53-Health-Check-Service (ref 00000000; report http://amzn.to/1vsZADi)",
        "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
        "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
        "kube-probe/1.29",
        "Baiduspider+(+http://www.baidu.com/search/spider.htm)",
    ] {
        assert!(is_bot(agent.as_bytes()), "{agent}");
    }
    assert!(is_bot(b"Googlebot \xe9"), "what is not UTF-8 is searched as well");
}

#[test]
fn people_and_plain_clients_are_viewers() {
    for agent in [
        "",
        "curl/8.5.0",
        "Wget/1.21",
        "Amazon CloudFront",
        "python-requests/2.31",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) AppleWebKit/605.1.15 Version/17.3 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36",
    ] {
        assert!(!is_bot(agent.as_bytes()), "{agent}");
    }
}
