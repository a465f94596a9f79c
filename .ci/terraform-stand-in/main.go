// A stand-in for a Terraform provider. It has the provider's schema and none of its code. That is
// enough for `terraform validate`, and for tests with mock_provider.
//
// Its schema is in the file schema.json, next to the program. See schemas.mjs.
package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	tf "github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

type schema struct{ Block block }

type block struct {
	Attributes map[string]struct {
		Type                                    json.RawMessage
		Required, Optional, Computed, Sensitive bool
	}
	Blocks map[string]struct {
		Nesting  string `json:"nesting_mode"`
		Block    block
		MinItems int64 `json:"min_items"`
		MaxItems int64 `json:"max_items"`
	} `json:"block_types"`
}

var nesting = map[string]tf.SchemaNestedBlockNestingMode{
	"single": tf.SchemaNestedBlockNestingModeSingle,
	"list":   tf.SchemaNestedBlockNestingModeList,
	"set":    tf.SchemaNestedBlockNestingModeSet,
}

func (b block) message() *tf.SchemaBlock {
	out := &tf.SchemaBlock{}
	for name, a := range b.Attributes {
		out.Attributes = append(out.Attributes, &tf.SchemaAttribute{
			Name: name,
			// This function is marked as deprecated because it is for Terraform's own programs.
			Type:     must(tftypes.ParseJSONType(a.Type)),
			Required: a.Required, Optional: a.Optional, Computed: a.Computed, Sensitive: a.Sensitive,
		})
	}
	for name, inner := range b.Blocks {
		out.BlockTypes = append(out.BlockTypes, &tf.SchemaNestedBlock{
			TypeName: name, Nesting: nesting[inner.Nesting], Block: inner.Block.message(),
			MinItems: inner.MinItems, MaxItems: inner.MaxItems,
		})
	}
	return out
}

func messages(schemas map[string]schema) map[string]*tf.Schema {
	out := map[string]*tf.Schema{}
	for name, s := range schemas {
		out[name] = &tf.Schema{Block: s.Block.message()}
	}
	return out
}

// Terraform prints the error if a provider panics.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// The methods that are missing here are nil. Terraform calls them only after ConfigureProvider, and
// ConfigureProvider always fails. With mock_provider, Terraform calls neither.
type standIn struct{ tf.ProviderServer }

func (standIn) GetProviderSchema(
	context.Context, *tf.GetProviderSchemaRequest,
) (*tf.GetProviderSchemaResponse, error) {
	var schemas struct {
		Provider    schema
		Resources   map[string]schema `json:"resource_schemas"`
		DataSources map[string]schema `json:"data_source_schemas"`
	}
	folder := filepath.Dir(must(os.Executable()))
	err := json.Unmarshal(must(os.ReadFile(filepath.Join(folder, "schema.json"))), &schemas)
	return &tf.GetProviderSchemaResponse{
		Provider:          &tf.Schema{Block: schemas.Provider.Block.message()},
		ResourceSchemas:   messages(schemas.Resources),
		DataSourceSchemas: messages(schemas.DataSources),
	}, err
}

// Terraform 1.12 and later call this together with GetProviderSchema.
func (standIn) GetResourceIdentitySchemas(
	context.Context, *tf.GetResourceIdentitySchemasRequest,
) (*tf.GetResourceIdentitySchemasResponse, error) {
	return &tf.GetResourceIdentitySchemasResponse{}, nil
}

func (standIn) PrepareProviderConfig(
	_ context.Context, request *tf.PrepareProviderConfigRequest,
) (*tf.PrepareProviderConfigResponse, error) {
	return &tf.PrepareProviderConfigResponse{PreparedConfig: request.Config}, nil
}

func (standIn) ValidateResourceTypeConfig(
	context.Context, *tf.ValidateResourceTypeConfigRequest,
) (*tf.ValidateResourceTypeConfigResponse, error) {
	return &tf.ValidateResourceTypeConfigResponse{}, nil
}

func (standIn) ValidateDataSourceConfig(
	context.Context, *tf.ValidateDataSourceConfigRequest,
) (*tf.ValidateDataSourceConfigResponse, error) {
	return &tf.ValidateDataSourceConfigResponse{}, nil
}

func (standIn) ConfigureProvider(
	context.Context, *tf.ConfigureProviderRequest,
) (*tf.ConfigureProviderResponse, error) {
	return &tf.ConfigureProviderResponse{Diagnostics: []*tf.Diagnostic{{
		Severity: tf.DiagnosticSeverityError,
		Summary:  "This is a stand-in. It has the provider's schema, but none of its code",
	}}}, nil
}

func (standIn) StopProvider(
	context.Context, *tf.StopProviderRequest,
) (*tf.StopProviderResponse, error) {
	return &tf.StopProviderResponse{}, nil
}

func main() {
	// The name appears only in logs.
	serve := func() tf.ProviderServer { return standIn{} }
	if err := tf5server.Serve("stand-in", serve); err != nil {
		panic(err)
	}
}
