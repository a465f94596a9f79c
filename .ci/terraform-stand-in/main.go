// A stand-in for a Terraform provider. It has the provider's schema and none of its code. That is
// enough for `terraform validate` and for tests with mock_provider.
//
// The schema is in schema.json, next to the program. schemas.mjs makes it.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"path/filepath"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// A block in the format of `terraform providers schema -json`.
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

type schema struct{ Block block }

func (b block) proto() (*tfprotov5.SchemaBlock, error) {
	out := &tfprotov5.SchemaBlock{}
	for name, a := range b.Attributes {
		// The library calls this function deprecated, and has no other one for this format.
		typ, err := tftypes.ParseJSONType(a.Type)
		if err != nil {
			return nil, err
		}
		out.Attributes = append(out.Attributes, &tfprotov5.SchemaAttribute{
			Name: name, Type: typ, Required: a.Required, Optional: a.Optional, Computed: a.Computed, Sensitive: a.Sensitive,
		})
	}
	for name, nested := range b.Blocks {
		inner, err := nested.Block.proto()
		if err != nil {
			return nil, err
		}
		out.BlockTypes = append(out.BlockTypes, &tfprotov5.SchemaNestedBlock{
			TypeName: name, Block: inner, MinItems: nested.MinItems, MaxItems: nested.MaxItems,
			Nesting: map[string]tfprotov5.SchemaNestedBlockNestingMode{
				"single": tfprotov5.SchemaNestedBlockNestingModeSingle,
				"list":   tfprotov5.SchemaNestedBlockNestingModeList,
				"set":    tfprotov5.SchemaNestedBlockNestingModeSet,
			}[nested.Nesting],
		})
	}
	return out, nil
}

func protos(in map[string]schema) (map[string]*tfprotov5.Schema, error) {
	out := map[string]*tfprotov5.Schema{}
	for name, s := range in {
		b, err := s.Block.proto()
		if err != nil {
			return nil, err
		}
		out[name] = &tfprotov5.Schema{Block: b}
	}
	return out, nil
}

// Terraform calls every method that is missing here only after ConfigureProvider, which fails.
type standIn struct{ tfprotov5.ProviderServer }

func (standIn) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(program), "schema.json"))
	if err != nil {
		return nil, err
	}
	var all struct {
		Provider    schema
		Resources   map[string]schema `json:"resource_schemas"`
		DataSources map[string]schema `json:"data_source_schemas"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	provider, err := all.Provider.Block.proto()
	if err != nil {
		return nil, err
	}
	resources, err := protos(all.Resources)
	if err != nil {
		return nil, err
	}
	dataSources, err := protos(all.DataSources)
	return &tfprotov5.GetProviderSchemaResponse{
		Provider:          &tfprotov5.Schema{Block: provider},
		ResourceSchemas:   resources,
		DataSourceSchemas: dataSources,
	}, err
}

// Terraform 1.12 and later asks for this together with the schema.
func (standIn) GetResourceIdentitySchemas(context.Context, *tfprotov5.GetResourceIdentitySchemasRequest) (*tfprotov5.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov5.GetResourceIdentitySchemasResponse{}, nil
}

func (standIn) PrepareProviderConfig(_ context.Context, request *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: request.Config}, nil
}

func (standIn) ValidateResourceTypeConfig(context.Context, *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	return &tfprotov5.ValidateResourceTypeConfigResponse{}, nil
}

func (standIn) ValidateDataSourceConfig(context.Context, *tfprotov5.ValidateDataSourceConfigRequest) (*tfprotov5.ValidateDataSourceConfigResponse, error) {
	return &tfprotov5.ValidateDataSourceConfigResponse{}, nil
}

func (standIn) ConfigureProvider(context.Context, *tfprotov5.ConfigureProviderRequest) (*tfprotov5.ConfigureProviderResponse, error) {
	return &tfprotov5.ConfigureProviderResponse{Diagnostics: []*tfprotov5.Diagnostic{{
		Severity: tfprotov5.DiagnosticSeverityError,
		Summary:  "This is a stand-in for the provider. It has the provider's schema, but none of its code",
	}}}, nil
}

func (standIn) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	return &tfprotov5.StopProviderResponse{}, nil
}

func main() {
	// Terraform does not read this name.
	err := tf5server.Serve("stand-in", func() tfprotov5.ProviderServer { return standIn{} })
	if err != nil {
		log.Fatal(err)
	}
}
