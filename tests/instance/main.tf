# Fills in the user data of an instance that runs an app of its own, for .ci/instance.
variable "registry" {
  type = string
}

output "user_data" {
  value = templatefile("../../infra/user-data.sh.tftpl", {
    code          = "2"
    region        = "us-east-1"
    name          = "site"
    certificate   = { certificate_parameter = "/tls/certificate", key_parameter = "/tls/key" }
    reports_lease = true
    units         = ["app.service", "stickshift.service", "stickshift-certificate.timer", "stickshift-report.timer"]
    services = {
      app = {
        about           = "The app of version 2"
        image           = "${var.registry}/shop:2.0"
        settings        = "/site/environment"
        secrets         = {}
        has_certificate = false
        options         = "--publish 127.0.0.1:3000:3000"
        arguments       = ""
      }
      stickshift = {
        about           = "Version 2"
        image           = "${var.registry}/stickshift:sidecar"
        settings        = "/site/settings"
        secrets         = { STICKSHIFT_KEYS = "/site/keys", STICKSHIFT_ORIGIN_SECRET = "/site/origin-secret" }
        has_certificate = true
        options = join(" ", [
          "--network host --read-only --volume /var/lib/stickshift/tls:/etc/stickshift/tls:ro",
          "--env STICKSHIFT_TLS_CERTIFICATE=/etc/stickshift/tls/certificate.pem",
          "--env STICKSHIFT_TLS_KEY=/etc/stickshift/tls/key.pem",
        ])
        arguments = "sidecar --version-code=2 --upstream http://127.0.0.1:3000"
      }
    }
  })
}
