# The chart with a managed PostgreSQL. Who calls this module configures the providers.

locals {
  # That an address was given, and its port, are no secrets; what is made depends on them. The address stays one.
  makes_database = nonsensitive(var.database_url == "")
  given_port     = nonsensitive(try(tonumber(regex("@[^/@?]*:([0-9]+)(?:[/?]|$)", var.database_url)[0]), 5432))
  database_url = local.makes_database ? format(
    "postgresql://%s:%s@%s:%d/%s?sslmode=require",
    digitalocean_database_user.tocsin[0].name,
    urlencode(digitalocean_database_user.tocsin[0].password),
    digitalocean_database_cluster.tocsin[0].private_host,
    digitalocean_database_cluster.tocsin[0].port,
    digitalocean_database_db.tocsin[0].name,
  ) : var.database_url
  database_port = local.makes_database ? digitalocean_database_cluster.tocsin[0].port : local.given_port
}

resource "digitalocean_database_cluster" "tocsin" {
  count                = local.makes_database ? 1 : 0
  name                 = var.name
  engine               = "pg"
  version              = var.database.version
  size                 = var.database.size
  region               = var.database.region
  node_count           = var.database.nodes
  private_network_uuid = var.database.network
  lifecycle {
    prevent_destroy = true # events that were acknowledged are in it
  }
}

resource "digitalocean_database_db" "tocsin" {
  count      = local.makes_database ? 1 : 0
  cluster_id = digitalocean_database_cluster.tocsin[0].id
  name       = "tocsin"
}

resource "digitalocean_database_user" "tocsin" {
  count      = local.makes_database ? 1 : 0
  cluster_id = digitalocean_database_cluster.tocsin[0].id
  name       = "tocsin"
}

resource "digitalocean_database_firewall" "tocsin" {
  count      = local.makes_database && var.cluster_id != "" ? 1 : 0
  cluster_id = digitalocean_database_cluster.tocsin[0].id
  rule {
    type  = "k8s"
    value = var.cluster_id
  }
}

# Seals every secret in the store. It is in the state of this module: keep that sealed as well.
resource "random_bytes" "key" {
  length = 32
  lifecycle {
    prevent_destroy = true
  }
}

resource "kubernetes_namespace_v1" "tocsin" {
  metadata {
    name   = var.namespace
    labels = { "pod-security.kubernetes.io/enforce" = "restricted" }
  }
}

resource "kubernetes_secret_v1" "tocsin" {
  metadata {
    name      = "${var.name}-settings"
    namespace = kubernetes_namespace_v1.tocsin.metadata[0].name
  }
  data = merge(var.secrets, {
    TOCSIN_SECRET_KEY   = random_bytes.key.base64
    TOCSIN_DATABASE_URL = local.database_url
  })
}

resource "helm_release" "tocsin" {
  name      = var.name
  namespace = kubernetes_namespace_v1.tocsin.metadata[0].name
  chart     = "${path.module}/../helm/tocsin"
  atomic    = true
  timeout   = 600
  values = [
    yamlencode({
      image         = var.image
      store         = "postgres"
      publicUrl     = var.public_url
      secret        = { existing = kubernetes_secret_v1.tocsin.metadata[0].name }
      networkPolicy = { egress = { database = [{ ports = [{ port = local.database_port, protocol = "TCP" }] }] } }
    }),
    yamlencode(var.values),
  ]
}
