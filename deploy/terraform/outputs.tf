output "service" {
  description = "Where the API is within the cluster."
  value       = "http://${var.name}.${var.namespace}.svc"
}

output "first_token" {
  description = "The command that makes the first token."
  value       = "kubectl -n ${var.namespace} exec deploy/${var.name}-api -- tocsin token create --role admin --name first"
}

output "database_host" {
  description = "The managed PostgreSQL, where one was made."
  value       = local.makes_database ? digitalocean_database_cluster.tocsin[0].private_host : ""
}
