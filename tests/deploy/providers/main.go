// A provider without a service behind it: the schemas that the module uses, so that OpenTofu can check and plan it.
// Its name is that of the program: terraform-provider-NAME.
package main

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

type attributes = map[string]schema.Attribute

func text() schema.Attribute   { return schema.StringAttribute{Optional: true} }
func needed() schema.Attribute { return schema.StringAttribute{Required: true} }
func made() schema.Attribute   { return schema.StringAttribute{Computed: true} }
func secret() schema.Attribute { return schema.StringAttribute{Computed: true, Sensitive: true} }
func number() schema.Attribute { return schema.Int64Attribute{Optional: true} }
func flag() schema.Attribute   { return schema.BoolAttribute{Optional: true} }
func words() schema.Attribute {
	return schema.MapAttribute{Optional: true, ElementType: types.StringType}
}
func texts() schema.Attribute {
	return schema.ListAttribute{Optional: true, ElementType: types.StringType}
}
func ofSecrets() schema.Attribute {
	return schema.MapAttribute{Optional: true, Sensitive: true, ElementType: types.StringType}
}

var metadata = schema.ListNestedBlock{NestedObject: schema.NestedBlockObject{Attributes: attributes{
	"name": text(), "namespace": text(), "labels": words(), "annotations": words(), "uid": made(),
}}}

// From each provider's own documentation: the attributes that the module could name.
var schemas = map[string]schema.Schema{
	"random_bytes": {Attributes: attributes{
		"length": schema.Int64Attribute{Required: true}, "keepers": words(), "base64": secret(), "hex": secret(),
	}},
	"kubernetes_namespace_v1": {
		Attributes: attributes{"id": made(), "wait_for_default_service_account": flag()},
		Blocks:     map[string]schema.Block{"metadata": metadata},
	},
	"kubernetes_secret_v1": {
		Attributes: attributes{"id": made(), "data": ofSecrets(), "type": text(), "immutable": flag()},
		Blocks:     map[string]schema.Block{"metadata": metadata},
	},
	"helm_release": {Attributes: attributes{
		"id": made(), "name": needed(), "namespace": text(), "chart": needed(), "version": text(), "repository": text(),
		"atomic": flag(), "wait": flag(), "timeout": number(), "values": texts(),
	}},
	"digitalocean_database_cluster": {Attributes: attributes{
		"id": made(), "name": needed(), "engine": needed(), "version": text(), "size": needed(), "region": needed(),
		"node_count": schema.Int64Attribute{Required: true}, "private_network_uuid": text(), "host": made(),
		"private_host": made(), "port": schema.Int64Attribute{Computed: true}, "uri": secret(),
	}},
	"digitalocean_database_db": {Attributes: attributes{"id": made(), "cluster_id": needed(), "name": needed()}},
	"digitalocean_database_user": {Attributes: attributes{
		"id": made(), "cluster_id": needed(), "name": needed(), "role": made(), "password": secret(),
	}},
	"digitalocean_database_firewall": {
		Attributes: attributes{"id": made(), "cluster_id": needed()},
		Blocks: map[string]schema.Block{"rule": schema.SetNestedBlock{NestedObject: schema.NestedBlockObject{
			Attributes: attributes{"type": needed(), "value": needed(), "uuid": made()},
		}}},
	},
}

type one struct{ name string }

func (one one) Metadata(_ context.Context, _ resource.MetadataRequest, to *resource.MetadataResponse) {
	to.TypeName = one.name
}
func (one one) Schema(_ context.Context, _ resource.SchemaRequest, to *resource.SchemaResponse) {
	to.Schema = schemas[one.name]
}
func (one) Create(_ context.Context, _ resource.CreateRequest, to *resource.CreateResponse) {
	to.Diagnostics.AddError("nothing is made here", "it checks and plans")
}
func (one) Read(context.Context, resource.ReadRequest, *resource.ReadResponse)       {}
func (one) Update(context.Context, resource.UpdateRequest, *resource.UpdateResponse) {}
func (one) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

type stub struct{ name string }

func (stub stub) Metadata(_ context.Context, _ provider.MetadataRequest, to *provider.MetadataResponse) {
	to.TypeName = stub.name
}
func (stub) Schema(context.Context, provider.SchemaRequest, *provider.SchemaResponse)          {}
func (stub) Configure(context.Context, provider.ConfigureRequest, *provider.ConfigureResponse) {}
func (stub) DataSources(context.Context) []func() datasource.DataSource                        { return nil }
func (stub stub) Resources(context.Context) []func() resource.Resource {
	found := []func() resource.Resource{}
	for name := range schemas {
		if strings.HasPrefix(name, stub.name+"_") {
			found = append(found, func() resource.Resource { return one{name} })
		}
	}
	return found
}

func main() {
	name := strings.TrimPrefix(filepath.Base(os.Args[0]), "terraform-provider-")
	made := func() provider.Provider { return stub{name} }
	options := providerserver.ServeOpts{Address: "registry.opentofu.org/tocsin/" + name}
	if err := providerserver.Serve(context.Background(), made, options); err != nil {
		log.Fatal(err)
	}
}
